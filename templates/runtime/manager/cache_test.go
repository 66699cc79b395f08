package manager

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// fakeCache starts as it is told.
type fakeCache struct {
	cache.Cache
	start func(context.Context) error
}

func (f fakeCache) Start(ctx context.Context) error { return f.start(ctx) }

func TestCachesEndInTime(t *testing.T) {
	failure := errors.New("boom")
	tests := map[string]struct {
		start func(context.Context) error
		took  time.Duration
		want  error
	}{
		"at once":      {func(ctx context.Context) error { <-ctx.Done(); return nil }, time.Minute, nil},
		"in time":      {func(ctx context.Context) error { <-ctx.Done(); time.Sleep(time.Second / 2); return failure }, time.Minute + time.Second/2, failure},
		"deaf":         {func(context.Context) error { time.Sleep(time.Hour); return failure }, time.Minute + time.Second, nil},
		"by a failure": {func(context.Context) error { return failure }, 0, failure},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := bounded(func(*rest.Config, cache.Options) (cache.Cache, error) {
					return fakeCache{start: test.start}, nil
				})(nil, cache.Options{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begin := time.Now()
				if err := c.Start(ctx); !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				if took := time.Since(begin); took != test.took {
					t.Errorf("took %s, want %s", took, test.took)
				}
				time.Sleep(2 * time.Hour) // what was left behind ends, as all must in a test
			})
		})
	}
}

func TestCachesThatCannotBeMade(t *testing.T) {
	failure := errors.New("boom")
	_, err := bounded(func(*rest.Config, cache.Options) (cache.Cache, error) { return nil, failure })(nil, cache.Options{})
	if !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
}

func TestAnAddedCacheEndsInTime(t *testing.T) {
	c, err := start(t.Context(), t, Settings{}, nil).CacheOf("n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.(boundedCache); !ok {
		t.Errorf("it is a %T", c)
	}
}

func TestACacheHoldsOneName(t *testing.T) {
	if o := called("n", nil); o.DefaultFieldSelector.String() != "metadata.name=n" || o.DefaultNamespaces != nil {
		t.Errorf("%+v", o)
	}
	o := called("n", []string{"b", "a"})
	if got := slices.Sorted(maps.Keys(o.DefaultNamespaces)); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("of %v", got)
	}
}
