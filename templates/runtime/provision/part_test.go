package provision

import "testing"

func TestCovers(t *testing.T) {
	type object = map[string]any
	for what, c := range map[string]struct {
		have, want any
		covered    bool
	}{
		"the same":                   {object{"a": "x"}, object{"a": "x"}, true},
		"more":                       {object{"a": "x", "b": "y"}, object{"a": "x"}, true},
		"more inside":                {object{"a": object{"b": "x", "c": "y"}}, object{"a": object{"b": "x"}}, true},
		"another value":              {object{"a": "y"}, object{"a": "x"}, false},
		"nothing":                    {nil, object{"a": "x"}, false},
		"nothing, and none wanted":   {nil, nil, true},
		"a false that is not there":  {object{}, object{"a": false}, false},
		"a longer list":              {[]any{"x", "y"}, []any{"x"}, false},
		"more in an item of a list":  {[]any{object{"a": "x", "b": "y"}}, []any{object{"a": "x"}}, false},
		"a selector of all":          {object{"s": object{}}, object{"s": object{}}, true},
		"the same, left out":         {object{}, object{"s": object{}}, true},
		"a selector of some instead": {object{"s": object{"matchLabels": object{"a": "b"}}}, object{"s": object{}}, false},
	} {
		if covers(c.have, c.want) != c.covered {
			t.Errorf("%s: covered is %v", what, !c.covered)
		}
	}
}

func TestTheErrorSaysWhatToDo(t *testing.T) {
	const want = "RoleBinding shop-tenant in namespace north was not made by this operator, which leaves it as it is; " +
		"delete it, and the one that belongs there is made"
	if got := (&NameTakenError{Kind: "RoleBinding", Namespace: "north", Name: "shop-tenant"}).Error(); got != want {
		t.Errorf("%q", got)
	}
}
