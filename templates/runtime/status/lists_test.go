package status

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

var said = Lists{
	"pairs":  {Keys: []string{"ns", "name"}},
	"slots":  {Keys: []string{"id"}},
	"ports":  {Keys: []string{"port", "protocol"}, Defaults: map[string]string{"protocol": `"TCP"`}},
	"whole":  {Atomic: true},
	"places": {Within: Lists{"*": {Keys: []string{"at"}}}},
	"nodes":  {Keys: []string{"name"}, Within: Lists{"disks": {Keys: []string{"at"}}}},
}

func TestMergingListsAsTheCRDSays(t *testing.T) {
	for name, test := range map[string]struct{ base, ours, theirs, want string }{
		"two keys": {`{}`, `{"pairs":[{"ns":"a","name":"w","x":1}]}`, `{"pairs":[{"ns":"b","name":"w","y":2}]}`,
			`{"pairs":[{"ns":"b","name":"w","y":2},{"ns":"a","name":"w","x":1}]}`},
		"numbers are keys": {`{}`, `{"slots":[{"id":1}]}`, `{"slots":[{"id":2}]}`, `{"slots":[{"id":2},{"id":1}]}`},
		"a key that is left out has its default": {`{}`, `{"ports":[{"port":1,"x":1}]}`, `{"ports":[{"port":1,"protocol":"TCP","y":2}]}`,
			`{"ports":[{"port":1,"protocol":"TCP","x":1,"y":2}]}`},
		"what is atomic is ours": {`{"whole":[{"name":"a"}]}`, `{"whole":[{"name":"a"},{"name":"b"}]}`, `{"whole":[{"name":"a","y":2},{"name":"c"}]}`,
			`{"whole":[{"name":"a"},{"name":"b"}]}`},
		"atomic scalars": {`{}`, `{"whole":["a"]}`, `{"whole":["b"]}`, `{"whole":["a"]}`},
		"conditions are never atomic": {`{}`, `{"whole":[{"type":"A","status":"True"}]}`, `{"whole":[{"type":"B","status":"True"}]}`,
			`{"whole":[{"type":"B","status":"True"},{"type":"A","status":"True"}]}`},
		"in a map": {`{"places":{"p":[{"at":1},{"at":2}]}}`, `{"places":{"p":[{"at":1,"x":1},{"at":2}]}}`, `{"places":{"p":[{"at":2},{"at":1,"y":2}]}}`,
			`{"places":{"p":[{"at":2},{"at":1,"x":1,"y":2}]}}`},
		"in elements": {`{"nodes":[{"name":"n","disks":[{"at":1}]}]}`, `{"nodes":[{"name":"n","disks":[{"at":1,"x":1}]}]}`,
			`{"nodes":[{"name":"n","disks":[{"at":1,"y":2},{"at":2}]}]}`, `{"nodes":[{"name":"n","disks":[{"at":1,"x":1,"y":2},{"at":2}]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			theirs := value(t, test.theirs)
			got := root(said, nil).merge(value(t, test.base), value(t, test.ours), theirs, theirs)
			if diff := cmp.Diff(value(t, test.want), got); diff != "" {
				t.Errorf("merged (-want +got):\n%s", diff)
			}
		})
	}
}

// Where the CRD says nothing an element is only what it is certainly.
func TestMergingListsOfWhichNothingIsSaid(t *testing.T) {
	for name, test := range map[string]struct{ base, ours, theirs, want string }{
		"both appended":                {`[{"at":1}]`, `[{"at":1},{"at":2}]`, `[{"at":1},{"at":3}]`, `[{"at":1},{"at":3},{"at":2}]`},
		"prepended":                    {`[{"at":1}]`, `[{"at":0},{"at":1}]`, `[{"at":1},{"at":3}]`, `[{"at":0},{"at":1},{"at":3}]`},
		"both appended the same":       {`[{"at":1}]`, `[{"at":1},{"at":2}]`, `[{"at":1},{"at":2}]`, `[{"at":1},{"at":2}]`},
		"both wrote the same":          {`[{"at":1}]`, `[{"at":2}]`, `[{"at":2}]`, `[{"at":2}]`},
		"both changed the only one":    {`[{"at":1}]`, `[{"at":2}]`, `[{"at":3}]`, `[{"at":2}]`},
		"each changed another":         {`[{"at":1},{"at":2}]`, `[{"at":9},{"at":2}]`, `[{"at":1},{"at":8}]`, `[{"at":9},{"at":8}]`},
		"by name":                      {`[{"name":"a"}]`, `[{"name":"a","x":1}]`, `[{"name":"b"},{"name":"a","y":2}]`, `[{"name":"b"},{"name":"a","x":1,"y":2}]`},
		"by name and kind":             {`[]`, `[{"name":"a","kind":"K"}]`, `[{"name":"a","kind":"L"}]`, `[{"name":"a","kind":"L"},{"name":"a","kind":"K"}]`},
		"a type alone is no name":      {`[]`, `[{"type":"a","x":1}]`, `[{"type":"a","y":2}]`, `[{"type":"a","y":2},{"type":"a","x":1}]`},
		"we removed what is equal":     {`[{"at":1},{"at":2}]`, `[{"at":2}]`, `[{"at":1},{"at":2},{"at":3}]`, `[{"at":2},{"at":3}]`},
		"they removed what is equal":   {`[{"at":1},{"at":2}]`, `[{"at":1},{"at":2},{"at":3}]`, `[{"at":2}]`, `[{"at":2},{"at":3}]`},
		"twins are told apart by none": {`[{"at":1},{"at":1}]`, `[{"at":1},{"at":1},{"at":2}]`, `[{"at":1},{"at":1},{"at":3}]`, `[{"at":1},{"at":1},{"at":3},{"at":2}]`},
	} {
		t.Run(name, func(t *testing.T) {
			wrap := func(list string) string { return `{"l":` + list + `}` }
			expectMerged(t, wrap(test.base), wrap(test.ours), wrap(test.theirs), wrap(test.want))
		})
	}
}

// What the Go types know is compared with what they know of theirs.
func TestUnknownFieldsAreNotCompared(t *testing.T) {
	base, ours := value(t, `{"l":[{"at":1},{"at":2}]}`), value(t, `{"l":[{"at":2},{"at":3}]}`)
	known, theirs := value(t, `{"l":[{"at":0},{"at":1},{"at":2}]}`), value(t, `{"l":[{"at":0,"new":"x"},{"at":1,"new":"y"},{"at":2,"new":"z"}]}`)
	want := value(t, `{"l":[{"at":0,"new":"x"},{"at":2,"new":"z"},{"at":3}]}`)
	if diff := cmp.Diff(want, root(nil, nil).merge(base, ours, known, theirs)); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	// A key that they do not know either.
	base, ours = value(t, `{"slots":[{"id":1,"x":1},{"id":1,"x":2}]}`), value(t, `{"slots":[{"id":1,"x":2}]}`)
	theirs, want = value(t, `{"slots":[{"id":1,"x":1,"new":"a"},{"id":1,"x":2,"new":"b"}]}`), value(t, `{"slots":[{"id":1,"x":2,"new":"b"}]}`)
	if diff := cmp.Diff(want, root(said, nil).merge(base, ours, base, theirs)); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
}

// element is one of a list in TestAnyEditOfLists.
type element struct{ id, state int }

// A list of every sort, and any edit of it by one writer or by two: what each has done
// is there afterwards, and the field that no Go type knows is in its element.
func TestAnyEditOfLists(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	edit := func(from []element, fresh int) []element {
		edited := slices.DeleteFunc(slices.Clone(from), func(element) bool { return random.IntN(4) == 0 })
		for i := range edited {
			if random.IntN(4) == 0 {
				edited[i].state = fresh
			}
		}
		if random.IntN(2) == 0 {
			edited = slices.Insert(edited, random.IntN(len(edited)+1), element{fresh, 0})
		}
		if random.IntN(4) == 0 {
			random.Shuffle(len(edited), func(i, j int) { edited[i], edited[j] = edited[j], edited[i] })
		}
		return edited
	}
	for sort, of := range map[string]struct {
		field string
		make  func(element) map[string]any
		named bool // an element that is changed is the same one
	}{
		"two keys": {"pairs", func(e element) map[string]any {
			return map[string]any{"ns": e.id % 2, "name": e.id / 2, "state": e.state}
		}, true},
		"named":    {"said", func(e element) map[string]any { return map[string]any{"name": e.id, "state": e.state} }, true},
		"nameless": {"said", func(e element) map[string]any { return map[string]any{"at": 10*e.id + e.state} }, false},
	} {
		t.Run(sort, func(t *testing.T) {
			status := func(elements []element, marked bool) any {
				list := []any{}
				for _, e := range elements {
					made := of.make(e)
					if marked {
						made["mark"] = e.id
					}
					list = append(list, made)
				}
				return value(t, text(map[string]any{of.field: list}))
			}
			l := root(said, nil)
			for range 2000 {
				base := make([]element, random.IntN(5))
				for i := range base {
					base[i].id = i
				}
				ours, theirs := edit(base, 6), base
				alone := random.IntN(2) == 0
				if !alone {
					theirs = edit(base, 7)
				}
				results := map[string]any{"merge": l.merge(status(base, false), status(ours, false), status(theirs, false), status(theirs, true))}
				if ops, ok := l.operations(nil, "", status(base, false), status(ours, false)); ok && alone {
					results["operations"] = patched(t, status(base, true), ops)
				}
				for by, result := range results {
					got, wrong := check(t, result.(map[string]any)[of.field].([]any), of.make, ours, theirs, of.named)
					switch {
					case wrong != "":
					case alone && !slices.Equal(got, ours):
						wrong = "is not what was wanted"
					case !lost(ours, base, got) && (!of.named || !lost(theirs, base, got)):
						continue
					default:
						wrong = "lacks what somebody added"
					}
					t.Fatalf("%s: %v with ours %v and theirs %v %s: %v", by, base, ours, theirs, wrong, result)
				}
			}
		})
	}
}

// lost reports whether got lacks what a list has added to base.
func lost(list, base, got []element) bool {
	has := func(list []element, id int) bool {
		return slices.ContainsFunc(list, func(e element) bool { return e.id == id })
	}
	return slices.ContainsFunc(list, func(e element) bool { return !has(base, e.id) && !has(got, e.id) })
}

// check returns the elements of a list, of which each that is one of theirs, and no
// other, must have its mark.
func check(t *testing.T, list []any, make func(element) map[string]any, ours, theirs []element, named bool) (got []element, wrong string) {
	for _, v := range list {
		mark, marked := v.(map[string]any)["mark"]
		delete(v.(map[string]any), "mark")
		i := slices.IndexFunc(slices.Concat(ours, theirs), func(e element) bool { return cmp.Equal(value(t, text(make(e))), v) })
		if i < 0 {
			return nil, "has what nobody said"
		}
		e := slices.Concat(ours, theirs)[i]
		if slices.Contains(got, e) {
			return nil, "has an element twice"
		}
		got = append(got, e)
		known := slices.ContainsFunc(theirs, func(their element) bool { return their == e || named && their.id == e.id })
		if marked != known || marked && mark != json.Number(strconv.Itoa(e.id)) {
			return nil, "has lost a field, or has it in another element"
		}
	}
	return got, ""
}

func patched(t *testing.T, from any, ops []operation) any {
	t.Helper()
	if len(ops) == 0 {
		return from
	}
	patch, err := jsonpatch.DecodePatch([]byte(text(ops)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := patch.Apply([]byte(text(from)))
	if err != nil {
		t.Fatalf("%s does not apply: %v", text(ops), err)
	}
	return value(t, string(got))
}
