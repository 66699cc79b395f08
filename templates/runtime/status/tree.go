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

// operations appends to ops what turns from into to at path, and leaves alone what is
// the same. It is not ok where elements of a list have changed places: what the Go
// types do not know of them has to be moved with them.
func (l List) operations(ops []operation, path string, from, to any) (_ []operation, ok bool) {
	if reflect.DeepEqual(from, to) {
		return ops, true
	}
	switch old := from.(type) {
	case map[string]any:
		if new, ok := to.(map[string]any); ok {
			return l.objectOperations(ops, path, old, new)
		}
	case []any:
		if new, isList := to.([]any); isList && holdsObjects(old) {
			return l.listOperations(ops, path, old, new)
		}
	}
	return append(ops, operation{"add", path, to}), true
}

func (l List) objectOperations(ops []operation, path string, from, to map[string]any) ([]operation, bool) {
	for k, new := range to {
		at := path + "/" + pointer.Replace(k)
		old, ok := from[k]
		if !ok {
			ops = append(ops, operation{"add", at, new})
			continue
		}
		if ops, ok = l.field(k).operations(ops, at, old, new); !ok {
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

func (l List) listOperations(ops []operation, path string, from, to []any) ([]operation, bool) {
	twins := l.identity(from, to).match(from, to)
	kept, last := make([]bool, len(from)), -1
	for _, old := range twins {
		if old.place < 0 {
			continue
		}
		if old.place < last {
			return nil, false
		}
		kept[old.place], last = true, old.place
	}
	for i := len(from) - 1; i >= 0; i-- {
		if !kept[i] {
			ops = append(ops, operation{Op: "remove", Path: path + "/" + strconv.Itoa(i)})
		}
	}
	for i, new := range to {
		at, old := path+"/"+strconv.Itoa(i), twins[i]
		var ok bool
		switch {
		case old.place < 0:
			ops = append(ops, operation{"add", at, new})
		case !old.sure:
			ops = append(ops, operation{"replace", at, new})
		default:
			if ops, ok = l.element().operations(ops, at, from[old.place], new); !ok {
				return nil, false
			}
		}
	}
	return ops, true
}

// merge applies the changes that lead from base to ours to theirs, of which known is
// what the Go types know, as they do of base and ours: what is compared with theirs is
// compared with that. Conditions of owned types become ours, whatever theirs are.
func (l List) merge(base, ours, known, theirs any) any {
	if reflect.DeepEqual(base, ours) && !l.asserts(ours) {
		return theirs
	}
	switch our := ours.(type) {
	case map[string]any:
		if their, ok := theirs.(map[string]any); ok {
			b, _ := base.(map[string]any)
			k, _ := known.(map[string]any)
			return l.mergeObjects(b, our, k, their)
		}
	case []any:
		their, ok := theirs.([]any)
		if ok || theirs == nil {
			b, _ := base.([]any)
			k, _ := known.([]any)
			if len(k) != len(their) {
				k = their
			}
			return l.mergeLists(b, our, k, their)
		}
	}
	return ours
}

func (l List) mergeObjects(base, ours, known, theirs map[string]any) map[string]any {
	merged := maps.Clone(theirs)
	for k := range base {
		if _, ok := ours[k]; !ok {
			delete(merged, k)
		}
	}
	for k, our := range ours {
		at := l.field(k)
		their, ok := theirs[k]
		switch old, had := base[k]; {
		case ok:
			merged[k] = at.merge(old, our, known[k], their)
		case !had:
			merged[k] = our
		case !reflect.DeepEqual(old, our), at.asserts(our): // they removed it
			merged[k] = at.merge(old, our, nil, nil)
		}
	}
	return merged
}

// mergeLists takes our list where others changed nothing or it is written as a whole;
// else scalars are merged as sets, if each list is one, and objects by what they match.
func (l List) mergeLists(base, ours, known, theirs []any) []any {
	switch {
	case l.Atomic && !areConditions(base, ours, known), reflect.DeepEqual(base, known):
		return l.takeOurs(ours, known, theirs)
	case isSet(base) && isSet(ours) && isSet(known):
		return mergeSets(base, ours, known)
	case !holdsObjects(base) && !holdsObjects(ours) && !holdsObjects(known):
		return ours
	}
	return l.mergeElements(base, ours, known, theirs)
}

// takeOurs returns ours, with what no Go type knows of the elements that theirs has too.
func (l List) takeOurs(ours, known, theirs []any) []any {
	taken := slices.Clone(ours)
	for j, their := range l.identity(known, ours).match(known, ours) {
		if their.sure {
			old := known[their.place]
			taken[j] = l.element().merge(old, ours[j], old, theirs[their.place])
		}
	}
	return taken
}

// mergeElements has the elements of theirs, without those that we removed, and before
// the ones that follow in ours those that we added.
func (l List) mergeElements(base, ours, known, theirs []any) []any {
	judged := areConditions(base, ours, known)
	same := l.identity(base, ours, known)
	our, their := same.match(base, ours), same.match(base, known)
	in := counterparts(our, their, len(base))
	same.matchAdded(in, our, their, ours, known)
	was := func(of twin) any {
		if of.place < 0 {
			return nil
		}
		return base[of.place]
	}
	merged := make([]any, 0, len(theirs)+len(ours))
	next := 0
	addUpTo := func(end int) {
		for ; next < end; next++ {
			e := ours[next]
			gone := our[next].place >= 0 && reflect.DeepEqual(was(our[next]), e) // they removed what we did not touch
			if !slices.Contains(in, next) && (!gone || judged && l.owns(e)) {
				merged = append(merged, e)
			}
		}
	}
	for t, j := range in {
		if j < 0 {
			if their[t].place < 0 && (!judged || !l.owns(known[t])) {
				merged = append(merged, theirs[t])
			}
			continue
		}
		addUpTo(j)
		old, new := was(their[t]), ours[j]
		switch untouched := reflect.DeepEqual(old, new); {
		case judged && (!untouched || l.owns(new)):
			merged = append(merged, replaceCondition(old, new, theirs[t]))
		case untouched, reflect.DeepEqual(known[t], new):
			merged = append(merged, theirs[t])
		case their[t].place < 0, our[j].sure && their[t].sure: // added by both, or changed
			merged = append(merged, l.element().merge(old, new, known[t], theirs[t]))
		default: // perhaps another one
			merged = append(merged, new)
		}
	}
	addUpTo(len(ours))
	return merged
}

// counterparts tells for each element of theirs which one of ours is the same of base,
// -1 for none.
func counterparts(our, their []twin, size int) []int {
	at := make([]int, size)
	for i := range at {
		at[i] = -1
	}
	for j, of := range our {
		if of.place >= 0 {
			at[of.place] = j
		}
	}
	in := make([]int, len(their))
	for t, of := range their {
		in[t] = -1
		if of.place >= 0 {
			in[t] = at[of.place]
		}
	}
	return in
}

// matchAdded tells too which elements both sides have added.
func (of identity) matchAdded(in []int, our, their []twin, ours, known []any) {
	added := func(twins []twin, list []any) (places []int, elements []any) {
		for i, of := range twins {
			if of.place < 0 {
				places, elements = append(places, i), append(elements, list[i])
			}
		}
		return places, elements
	}
	mine, ourElements := added(our, ours)
	others, theirElements := added(their, known)
	for j, twin := range of.match(theirElements, ourElements) {
		if twin.sure {
			in[others[twin.place]] = mine[j]
		}
	}
}

// asserts reports whether v is a list of conditions with owned ones among them, which
// are written even if the pass left them as it had read them.
func (l List) asserts(v any) bool {
	list, ok := v.([]any)
	return ok && len(l.owned) > 0 && slices.ContainsFunc(list, l.owns) && areConditions(list)
}

func (l List) owns(condition any) bool {
	c, _ := condition.(map[string]any)
	name, ok := c["type"].(string)
	return ok && slices.Contains(l.owned, name)
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
