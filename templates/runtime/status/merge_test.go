package status

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// value is a JSON text as a value.
func value(t *testing.T, text string) any {
	t.Helper()
	v, err := decode(json.RawMessage(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func expectMerged(t *testing.T, base, ours, theirs, want string, owned ...string) {
	t.Helper()
	got := root(nil, owned).merge(value(t, base), value(t, ours), value(t, theirs), value(t, theirs))
	if diff := cmp.Diff(value(t, want), got); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
}

func TestMergingLists(t *testing.T) {
	for name, test := range map[string]struct{ base, ours, theirs, want string }{
		"both added to a set":          {`{"l":["a"]}`, `{"l":["a","b"]}`, `{"l":["a","c"]}`, `{"l":["a","c","b"]}`},
		"both added the same":          {`{"l":["a"]}`, `{"l":["a","b"]}`, `{"l":["b","a"]}`, `{"l":["b","a"]}`},
		"one removed, one added":       {`{"l":["a","b"]}`, `{"l":["b"]}`, `{"l":["a","b","c"]}`, `{"l":["b","c"]}`},
		"twice the same is no set":     {`{"l":["a"]}`, `{"l":["a","a"]}`, `{"l":["a","c"]}`, `{"l":["a","a"]}`},
		"they emptied a list":          {`{"l":[{"name":"a"}]}`, `{"l":[{"name":"a"},{"name":"b"}]}`, `{"l":[]}`, `{"l":[{"name":"b"}]}`},
		"they removed a list":          {`{"l":[{"name":"a"}]}`, `{"l":[{"name":"a"},{"name":"b"}]}`, `{}`, `{"l":[{"name":"b"}]}`},
		"they removed a set":           {`{"l":["a"]}`, `{"l":["a","b"]}`, `{}`, `{"l":["b"]}`},
		"they removed what we changed": {`{"l":[{"name":"a"}]}`, `{"l":[{"name":"a","x":1}]}`, `{"l":[{"name":"c"}]}`, `{"l":[{"name":"c"},{"name":"a","x":1}]}`},
	} {
		t.Run(name, func(t *testing.T) { expectMerged(t, test.base, test.ours, test.theirs, test.want) })
	}
}

// A condition that is half of one and half of another says what nobody said.
func TestConditionsAreNotMixed(t *testing.T) {
	const (
		base   = `[{"type":"Ready","status":"True","reason":"Done","message":"","observedGeneration":1,"lastTransitionTime":"2020"}]`
		theirs = `[{"type":"Ready","status":"Unknown","reason":"Shutdown","message":"shutting down","lastTransitionTime":"2024","novel":"kept"},{"type":"Theirs","status":"True"}]`
	)
	expectMerged(t, base,
		`[{"type":"Ready","status":"False","reason":"Draining","message":"","observedGeneration":2,"lastTransitionTime":"2025"}]`, theirs,
		`[{"type":"Ready","status":"False","reason":"Draining","message":"","observedGeneration":2,"lastTransitionTime":"2025","novel":"kept"},{"type":"Theirs","status":"True"}]`)
	expectMerged(t, base,
		`[{"type":"Ready","status":"Unknown","reason":"Other","message":"","lastTransitionTime":"2025"}]`, theirs,
		`[{"type":"Ready","status":"Unknown","reason":"Other","message":"","lastTransitionTime":"2024","novel":"kept"},{"type":"Theirs","status":"True"}]`)
}

func TestOwnedConditionsHaveTheLastWord(t *testing.T) {
	const ready = `{"type":"Ready","status":"True","reason":"Done"}`
	const old, others = `{"type":"Ready","status":"False","reason":"Old"}`, `{"conditions":[{"type":"Ready","status":"False","reason":"Old"}]}`
	unchanged := func(want, theirs string, owned ...string) {
		t.Helper()
		expectMerged(t, `{"conditions":[`+ready+`]}`, `{"conditions":[`+ready+`],"phase":"New"}`, theirs, `{"conditions":[`+want+`],"phase":"New"}`, owned...)
	}
	unchanged(old, others)
	unchanged(ready, others, "Ready")
	unchanged(ready, `{}`, "Ready")
	// It changed another condition, so that Ready is what it is now.
	base, ours := `[`+ready+`,{"type":"Mine","status":"True"}]`, `[`+ready+`,{"type":"Mine","status":"False"}]`
	theirs := `[{"type":"Ready","status":"False","reason":"Old"},{"type":"Stalled","status":"True"},{"type":"Theirs","status":"True"}]`
	expectMerged(t, `{"conditions":`+base+`}`, `{"conditions":`+ours+`}`, `{"conditions":`+theirs+`}`,
		`{"conditions":[`+ready+`,{"type":"Theirs","status":"True"},{"type":"Mine","status":"False"}]}`, "Ready", "Stalled")
	// Those of a part of the object belong to whoever wrote them.
	part := func(state, conditions string) string {
		return `{"nodes":[{"name":"a","state":"` + state + `","conditions":` + conditions + `}]}`
	}
	expectMerged(t, part("old", base), part("new", base), part("old", theirs), part("new", theirs), "Ready", "Stalled")
}
