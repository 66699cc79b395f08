package reconciler

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ctxscaffold/ctxscaffold/templates/runtime/cause"
)

func object(uid types.UID, generation int64) client.Object {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "w", Namespace: "default", UID: uid, Generation: generation}}
}

func TestFlights(t *testing.T) {
	key := types.NamespacedName{Namespace: "default", Name: "w"}
	works := func(uid types.UID, generation int64) func(*flights) {
		return func(f *flights) { f.works(object(uid, generation)) }
	}
	changed := func(uid types.UID, generation int64) func(*flights) {
		return func(f *flights) { f.changed(object(uid, generation-1), object(uid, generation)) }
	}
	deleted := func(uid types.UID) func(*flights) {
		return func(f *flights) { f.deleted(object(uid, 9)) }
	}
	tests := map[string]struct {
		steps []func(*flights)
		want  error
	}{
		"nothing happens":                   {[]func(*flights){works("a", 1)}, nil},
		"newer generation":                  {[]func(*flights){works("a", 1), changed("a", 2)}, cause.Superseded},
		"same generation":                   {[]func(*flights){works("a", 2), changed("a", 2)}, nil},
		"older generation":                  {[]func(*flights){works("a", 2), changed("a", 1)}, nil},
		"another object":                    {[]func(*flights){works("a", 1), changed("b", 2)}, nil},
		"deleted":                           {[]func(*flights){works("a", 1), deleted("a")}, cause.Superseded},
		"replaced":                          {[]func(*flights){works("a", 1), func(f *flights) { f.changed(object("a", 1), object("b", 1)) }}, cause.Superseded},
		"its predecessor deleted":           {[]func(*flights){works("b", 1), deleted("a")}, nil},
		"deleted before it is read":         {[]func(*flights){deleted("a")}, nil},
		"newer seen before it is read":      {[]func(*flights){changed("a", 2), works("a", 1)}, cause.Superseded},
		"same seen before it is read":       {[]func(*flights){changed("a", 2), works("a", 2)}, nil},
		"another seen before it is read":    {[]func(*flights){changed("b", 2), works("a", 1)}, nil},
		"newest event counts, as it is now": {[]func(*flights){changed("b", 5), changed("a", 2), works("a", 2)}, nil},
		"shutdown":                          {[]func(*flights){works("a", 1), func(f *flights) { f.end(cause.Shutdown) }}, cause.Shutdown},
		"two ends": {[]func(*flights){
			func(f *flights) { f.end(cause.Shutdown) }, func(f *flights) { f.end(cause.LeadershipLost) },
		}, cause.Shutdown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			var f flights
			f.start(key, cancel)
			for _, step := range test.steps {
				step(&f)
			}
			if got := context.Cause(ctx); !errors.Is(got, test.want) {
				t.Errorf("cause %v, want %v", got, test.want)
			}
			f.finish(key)
			if len(f.running) != 0 {
				t.Errorf("%d flights left", len(f.running))
			}
		})
	}
}

func TestFlightsAfterTheEnd(t *testing.T) {
	var f flights
	f.end(cause.Shutdown)
	ctx, cancel := context.WithCancelCause(t.Context())
	f.start(types.NamespacedName{Name: "w"}, cancel)
	if got := cause.Of(ctx); got != cause.Shutdown {
		t.Errorf("cause %v", got)
	}
}

func TestFlightsOfNobody(t *testing.T) {
	var f flights // events come while nothing runs
	f.changed(object("b", 1), object("a", 1))
	f.deleted(object("a", 1))
	f.works(object("a", 1))
}
