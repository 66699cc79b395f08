package status

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// The functions here work on JSON values as decode makes them: nil, bool,
// string, json.Number, []any and map[string]any. Numbers stay text, so that no
// integer is rounded. None of them changes its arguments.

// decode turns v into a JSON value by way of its JSON encoding.
func decode(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	return value, d.Decode(&value)
}

// empty reports whether v says nothing: null, {} or [].
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// holdsObjects reports whether an object is found in v, where fields may be that
// the Go types do not know.
func holdsObjects(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return true
	case []any:
		for _, e := range v {
			if holdsObjects(e) {
				return true
			}
		}
	}
	return false
}

// keys are the fields by which the elements of a list are told apart, in the
// order of preference.
var keys = []string{"type", "name", "key", "id"}

// keyOf returns the first of keys that every element of all lists has as a
// string, different from those of the other elements of its list.
func keyOf(lists ...[]any) (string, bool) {
candidates:
	for _, key := range keys {
		for _, list := range lists {
			seen := make(map[string]bool, len(list))
			for _, e := range list {
				object, _ := e.(map[string]any)
				id, ok := object[key].(string)
				if !ok || seen[id] {
					continue candidates
				}
				seen[id] = true
			}
		}
		return key, true
	}
	return "", false
}

// mergePatch returns the RFC 7386 patch from one object to another.
func mergePatch(from, to map[string]any) map[string]any {
	patch := map[string]any{}
	for k, new := range to {
		old, ok := from[k]
		if ok && reflect.DeepEqual(old, new) {
			continue
		}
		oldObject, ok1 := old.(map[string]any)
		newObject, ok2 := new.(map[string]any)
		if ok1 && ok2 {
			new = mergePatch(oldObject, newObject)
		}
		patch[k] = new
	}
	for k := range from {
		if _, ok := to[k]; !ok {
			patch[k] = nil
		}
	}
	return patch
}

// operation is one operation of an RFC 6902 patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"` // ignored by "remove"
}

var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// operations appends to ops what turns from into to at path. It descends into
// the elements of a list only as far as these are known to be the same ones; ok
// is false if that is not known of all elements that hold objects.
func operations(ops []operation, path string, from, to any) (_ []operation, ok bool) {
	if reflect.DeepEqual(from, to) {
		return ops, true
	}
	switch old := from.(type) {
	case map[string]any:
		if new, ok := to.(map[string]any); ok {
			return objectOperations(ops, path, old, new)
		}
	case []any:
		if new, isList := to.([]any); isList && holdsObjects(old) {
			return listOperations(ops, path, old, new)
		}
	}
	return append(ops, operation{"add", path, to}), true
}

func objectOperations(ops []operation, path string, from, to map[string]any) ([]operation, bool) {
	for k, new := range to {
		at := path + "/" + pointer.Replace(k)
		old, ok := from[k]
		if !ok {
			ops = append(ops, operation{"add", at, new})
			continue
		}
		if ops, ok = operations(ops, at, old, new); !ok {
			return nil, false
		}
	}
	for k, old := range from {
		if _, ok := to[k]; !ok && old != nil {
			ops = append(ops, operation{Op: "remove", Path: path + "/" + pointer.Replace(k)})
		}
	}
	return ops, true
}

func listOperations(ops []operation, path string, from, to []any) ([]operation, bool) {
	if !prefix(from, to) {
		return nil, false
	}
	for i, new := range to {
		at := path + "/" + strconv.Itoa(i)
		if i >= len(from) {
			ops = append(ops, operation{"add", at, new})
			continue
		}
		var ok bool
		if ops, ok = operations(ops, at, from[i], new); !ok {
			return nil, false
		}
	}
	return ops, true
}

// prefix reports whether the elements of from are the first ones of to, by their
// key or, in lists of equal length without one, by their place.
func prefix(from, to []any) bool {
	if len(from) > len(to) {
		return false
	}
	key, ok := keyOf(from, to)
	if !ok {
		return len(from) == len(to)
	}
	for i := range from {
		if from[i].(map[string]any)[key] != to[i].(map[string]any)[key] {
			return false
		}
	}
	return true
}

// merge applies the changes that lead from base to ours to theirs. Conditions of the
// owned types become ours, whatever theirs are.
func merge(base, ours, theirs any, owned ...string) any {
	return merger{owned}.merge(base, ours, theirs)
}

// merger merges, and gives the conditions of some types the last word: the runtime
// owns them, whoever wrote them last.
type merger struct{ owned []string }

func (m merger) merge(base, ours, theirs any) any {
	if reflect.DeepEqual(base, ours) && !m.asserts(ours) {
		return theirs
	}
	switch our := ours.(type) {
	case map[string]any:
		if their, ok := theirs.(map[string]any); ok {
			b, _ := base.(map[string]any)
			return m.mergeObjects(b, our, their)
		}
	case []any:
		their, ok := theirs.([]any)
		if ok || theirs == nil {
			b, _ := base.([]any)
			return m.mergeLists(b, our, their)
		}
	}
	return ours
}

func (m merger) mergeObjects(base, ours, theirs map[string]any) map[string]any {
	merged := maps.Clone(theirs)
	for k := range base {
		if _, ok := ours[k]; !ok {
			delete(merged, k)
		}
	}
	for k, our := range ours {
		their, ok := theirs[k]
		switch old, known := base[k]; {
		case ok:
			merged[k] = m.merge(old, our, their)
		case !known:
			merged[k] = our
		case !reflect.DeepEqual(old, our), m.asserts(our): // they removed it
			merged[k] = m.merge(old, our, nil)
		}
	}
	return merged
}

// mergeLists matches elements by key, else by value where each list is a set, else
// by place if all lists are of one length, and else takes our list as a whole.
func (m merger) mergeLists(base, ours, theirs []any) []any {
	if key, ok := keyOf(base, ours, theirs); ok {
		return m.mergeByKey(key, base, ours, theirs)
	}
	if isSet(base) && isSet(ours) && isSet(theirs) {
		return mergeSets(base, ours, theirs)
	}
	if len(base) != len(ours) || len(theirs) != len(ours) {
		return ours
	}
	merged := make([]any, len(ours))
	for i := range ours {
		merged[i] = m.merge(base[i], ours[i], theirs[i])
	}
	return merged
}

func (m merger) mergeByKey(key string, base, ours, theirs []any) []any {
	was, our, present := byKey(key, base), byKey(key, ours), byKey(key, theirs)
	whole := areConditions(key, base, ours, theirs)
	merged := make([]any, 0, len(theirs)+len(ours))
	for _, their := range theirs {
		id := their.(map[string]any)[key]
		old, known := was[id]
		new, kept := our[id]
		switch {
		case whole && kept && (m.owns(id) || !reflect.DeepEqual(old, new)):
			merged = append(merged, replaceCondition(old, new, their))
		case whole && m.owns(id):
		case kept:
			merged = append(merged, m.merge(old, new, their))
		case !known:
			merged = append(merged, their)
		}
	}
	for _, e := range ours {
		id := e.(map[string]any)[key]
		if _, ok := present[id]; ok {
			continue
		}
		if old, known := was[id]; known && reflect.DeepEqual(old, e) && (!whole || !m.owns(id)) {
			continue // they removed what we did not touch
		}
		merged = append(merged, e)
	}
	return merged
}

// asserts reports whether v is a list of conditions with owned ones among them, which
// are written even if the pass left them as it had read them.
func (m merger) asserts(v any) bool {
	list, ok := v.([]any)
	if !ok || len(m.owned) == 0 {
		return false
	}
	for _, e := range list {
		if c, _ := e.(map[string]any); m.owns(c["type"]) && areConditions("type", list) {
			return true
		}
	}
	return false
}

func (m merger) owns(conditionType any) bool {
	name, ok := conditionType.(string)
	return ok && slices.Contains(m.owned, name)
}

// areConditions reports whether the elements of all lists are conditions: told apart
// by their type, each with a status.
func areConditions(key string, lists ...[]any) bool {
	if key != "type" {
		return false
	}
	for _, list := range lists {
		for _, e := range list {
			c, _ := e.(map[string]any)
			if _, ok := c["status"].(string); !ok {
				return false
			}
		}
	}
	return true
}

// replaceCondition is our condition in the place of theirs: half of one and half of
// the other would say what nobody said. Of theirs it has the fields that no Go type
// knows, and the time since when it says what ours says too.
func replaceCondition(base, our, their any) any {
	const status, transition = "status", "lastTransitionTime"
	was, _ := base.(map[string]any)
	replaced, old := maps.Clone(our.(map[string]any)), their.(map[string]any)
	for field, value := range old {
		_, known := was[field]
		_, set := replaced[field]
		if !known && !set && !slices.Contains(conditionFields, field) {
			replaced[field] = value
		}
	}
	if replaced[status] == old[status] && replaced[transition] != nil && old[transition] != nil {
		replaced[transition] = old[transition]
	}
	return replaced
}

// conditionFields are those of metav1.Condition. One that is not encoded is empty, and
// not unknown.
var conditionFields = []string{"type", "status", "observedGeneration", "lastTransitionTime", "reason", "message"}

// isSet reports whether a list holds scalars, none of them twice.
func isSet(list []any) bool {
	seen := make(map[any]bool, len(list))
	for _, e := range list {
		switch e.(type) {
		case map[string]any, []any:
			return false
		}
		if seen[e] {
			return false
		}
		seen[e] = true
	}
	return true
}

// mergeSets removes from theirs what we removed and adds what we added.
func mergeSets(base, ours, theirs []any) []any {
	merged := make([]any, 0, len(theirs)+len(ours))
	for _, e := range theirs {
		if slices.Contains(ours, e) || !slices.Contains(base, e) {
			merged = append(merged, e)
		}
	}
	for _, e := range ours {
		if !slices.Contains(base, e) && !slices.Contains(merged, e) {
			merged = append(merged, e)
		}
	}
	return merged
}

func byKey(key string, list []any) map[any]any {
	m := make(map[any]any, len(list))
	for _, e := range list {
		m[e.(map[string]any)[key]] = e
	}
	return m
}
