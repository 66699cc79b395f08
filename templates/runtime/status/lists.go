package status

import (
	"encoding/json"
	"slices"
)

// Lists is what a CRD says of the lists in an object, by the field they are in. "*" is
// every field of a map.
type Lists map[string]List

// List is what a CRD says of a field's list. Of a field that is no list it has only
// what is Within.
type List struct {
	// Keys are the fields that tell the elements apart, x-kubernetes-list-map-keys.
	Keys []string
	// Defaults are the values, as JSON, of those Keys that an element may leave out.
	Defaults map[string]string
	// Atomic says that the list is written as a whole, unless it is one of conditions.
	Atomic bool
	// Within are the lists in each element, or in the object.
	Within Lists

	// owned are the types of conditions that are ours, whoever wrote them last.
	owned []string
}

// conditions is the field of a status that holds its conditions.
const conditions = "conditions"

// root is the status itself, whose own conditions are ours where their type is owned.
func root(lists Lists, owned []string) List {
	within := Lists{}
	for field, list := range lists {
		within[field] = list
	}
	own := within[conditions]
	own.owned = owned
	within[conditions] = own
	return List{Within: within}
}

func (l List) field(name string) List {
	if list, ok := l.Within[name]; ok {
		return list
	}
	return l.Within["*"]
}

func (l List) element() List { return List{Within: l.Within} }

// twin tells where an element is in another list.
type twin struct {
	place int // -1 if it is not there
	// sure says that it is the same one. Else it is only in the place where the other
	// was, between the same neighbours.
	sure bool
}

// identity is what makes elements of a list the same one: any of the ids, or else their
// place between the same neighbours.
type identity struct {
	ids     []func(any) string
	inPlace bool
}

// identity is the one of elements of these lists, which are states of one list: by its
// keys, or as conditions are told apart. A newer CRD may have more keys than the Go
// types know, so that these are not enough: then, as where the CRD says nothing, an
// element is the one that is equal, and those that are equal among themselves are taken
// in their order. Where it says nothing an element is also the one of the same name,
// which no other has in any of the states.
func (l List) identity(lists ...[]any) identity {
	if len(l.Keys) == 0 && areConditions(lists...) {
		l.Keys = conditionKeys
	}
	if len(l.Keys) > 0 {
		return identity{ids: []func(any) string{unique(l.key, lists...), text}}
	}
	return identity{ids: []func(any) string{text, unique(name, lists...)}, inPlace: true}
}

// match tells for each element of to which one of from it is.
func (of identity) match(from, to []any) []twin {
	m := matching{from: from, to: to, twins: make([]twin, len(to)), taken: make([]bool, len(from))}
	for j := range m.twins {
		m.twins[j].place = -1
	}
	for _, id := range of.ids {
		m.by(id)
	}
	if of.inPlace {
		m.inPlace()
	}
	return m.twins
}

// matching is a match on its way.
type matching struct {
	from, to []any
	twins    []twin // of to
	taken    []bool // of from
}

// by matches in their order those of the rest that have the same id; "" is none.
func (m *matching) by(id func(any) string) {
	places := map[string][]int{}
	for i, e := range m.from {
		if !m.taken[i] {
			places[id(e)] = append(places[id(e)], i)
		}
	}
	delete(places, "")
	for j, e := range m.to {
		if m.twins[j].place >= 0 {
			continue
		}
		at := id(e)
		if left := places[at]; len(left) > 0 {
			m.twins[j], m.taken[left[0]] = twin{left[0], true}, true
			places[at] = left[1:]
		}
	}
}

// inPlace matches the rest where as many elements are between the same neighbours,
// unless they are called otherwise.
func (m *matching) inPlace() {
	for i, j := 0, 0; j < len(m.to); j++ {
		start, end := j, len(m.from)
		for j < len(m.to) && m.twins[j].place < 0 {
			j++
		}
		if j < len(m.to) {
			end = m.twins[j].place
		}
		if end-i == j-start && !slices.Contains(m.taken[i:end], true) {
			for k := start; k < j; k++ {
				if at := i + k - start; name(m.from[at]) == name(m.to[k]) {
					m.twins[k].place = at
				}
			}
		}
		i = end + 1
	}
}

// key is what an element has in the keys of its list, "" if it is no object.
func (l List) key(e any) string {
	object, ok := e.(map[string]any)
	if !ok {
		return ""
	}
	values := make([]any, len(l.Keys))
	for i, field := range l.Keys {
		value, ok := object[field]
		if byDefault := l.Defaults[field]; !ok && byDefault != "" {
			value = json.RawMessage(byDefault)
		}
		values[i] = value
	}
	return text(values)
}

// naming are the fields that name an object, as far as it has them; it has a name if
// it has one of the first.
var naming = []string{"name", "id", "key", "uid", "namespace", "kind", "group", "apiGroup", "apiVersion", "type"}

const names = 4

// name is what an object is called in a list of which the CRD says nothing, "" if it
// has no name.
func name(e any) string {
	object, _ := e.(map[string]any)
	named := false
	values := make([]any, len(naming))
	for i, field := range naming {
		values[i] = object[field]
		named = named || i < names && values[i] != nil
	}
	if !named {
		return ""
	}
	return text(values)
}

// unique is id where no two elements of a list have the same.
func unique(id func(any) string, lists ...[]any) func(any) string {
	twice := map[string]bool{}
	for _, list := range lists {
		seen := make(map[string]bool, len(list))
		for _, e := range list {
			twice[id(e)] = twice[id(e)] || seen[id(e)]
			seen[id(e)] = true
		}
	}
	return func(e any) string {
		if twice[id(e)] {
			return ""
		}
		return id(e)
	}
}

// text is a value as JSON, in which equal values are the same.
func text(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic("status: JSON value cannot be encoded: " + err.Error()) // decode made it from JSON
	}
	return string(encoded)
}

var conditionKeys = []string{"type"}

// areConditions reports whether all elements of the lists are conditions: told apart by
// their type, each with a status.
func areConditions(lists ...[]any) bool {
	for _, list := range lists {
		seen := make(map[string]bool, len(list))
		for _, e := range list {
			c, _ := e.(map[string]any)
			of, typed := c["type"].(string)
			_, judged := c["status"].(string)
			if !typed || !judged || seen[of] {
				return false
			}
			seen[of] = true
		}
	}
	return true
}
