// Package ability finds methods that a user wrote in vain: with the name that an
// optional interface asks for, and with another signature, so that Go takes the
// type for one without the ability and nothing ever calls the method.
package ability

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Check returns an error for each method of user that has the name of one in the
// optional interfaces and is not that method, with the signature it should have.
func Check(user any, optional ...reflect.Type) error {
	if user == nil {
		return nil
	}
	var errs []error
	for _, ability := range optional {
		if reflect.TypeOf(user).Implements(ability) {
			continue
		}
		for wanted := range ability.Methods() {
			errs = append(errs, judge(user, wanted))
		}
	}
	return errors.Join(errs...)
}

// judge returns an error if user has a method of the wanted one's name.
func judge(user any, wanted reflect.Method) error {
	value := reflect.ValueOf(user)
	if method := value.MethodByName(wanted.Name); method.IsValid() {
		if method.Type() == wanted.Type {
			return nil
		}
		return fmt.Errorf("method %s%s of %T would never be called: make it %[1]s%[4]s",
			wanted.Name, signature(method.Type()), user, signature(wanted.Type))
	}
	if _, ok := reflect.PointerTo(value.Type()).MethodByName(wanted.Name); ok {
		return fmt.Errorf("method %s of *%T would never be called: it has a pointer receiver, so give a pointer to the %[2]T",
			wanted.Name, user)
	}
	return nil
}

func signature(method reflect.Type) string {
	return strings.TrimPrefix(method.String(), "func")
}
