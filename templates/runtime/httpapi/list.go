package httpapi

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Limits of one page of a list.
const (
	defaultItems = 100
	maxItems     = 500
	maxPage      = 8 << 20 // bytes; one item fits whatever its size
)

// page is the answer to a list.
type page struct {
	Items    []json.RawMessage `json:"items"`
	Continue string            `json:"continue,omitempty"`
}

// query is what a list is asked for.
type query struct {
	limit    int
	after    client.ObjectKey // the last one of the page before
	selector labels.Selector
}

func (r *resource) list(request *http.Request) (int, any, error) {
	namespace, err := segment(request, "namespace")
	if err != nil {
		return 0, nil, err
	}
	q, err := queryOf(request)
	if err != nil {
		return 0, nil, badRequest(err)
	}
	found := r.NewList()
	// What is shown is copied, which is less than what there is.
	if err := r.client.List(request.Context(), found, client.InNamespace(namespace),
		client.MatchingLabelsSelector{Selector: q.selector}, client.UnsafeDisableDeepCopy); err != nil {
		return 0, nil, err
	}
	var rest []client.Object
	if err := apimeta.EachListItem(found, func(one runtime.Object) error {
		if obj, ok := one.(client.Object); ok && compare(client.ObjectKeyFromObject(obj), q.after) > 0 {
			rest = append(rest, obj)
		}
		return nil
	}); err != nil {
		return 0, nil, err
	}
	slices.SortFunc(rest, func(a, b client.Object) int {
		return compare(client.ObjectKeyFromObject(a), client.ObjectKeyFromObject(b))
	})
	p, err := r.page(rest, q.limit)
	return http.StatusOK, p, err
}

// page shows the first of objs.
func (r *resource) page(objs []client.Object, limit int) (page, error) {
	p := page{Items: []json.RawMessage{}}
	size := 0
	for i, obj := range objs {
		text, err := json.Marshal(r.shown(obj.DeepCopyObject().(client.Object)))
		if err != nil {
			return page{}, err
		}
		if i == limit || i > 0 && size+len(text) > maxPage {
			p.Continue = token(client.ObjectKeyFromObject(objs[i-1]))
			break
		}
		size += len(text)
		p.Items = append(p.Items, text)
	}
	return p, nil
}

func queryOf(request *http.Request) (query, error) {
	values := request.URL.Query()
	q := query{limit: defaultItems}
	var err error
	if text := values.Get("limit"); text != "" {
		if q.limit, err = strconv.Atoi(text); err != nil || q.limit < 1 || q.limit > maxItems {
			return q, fmt.Errorf("limit %q is no number from 1 to %d", text, maxItems)
		}
	}
	if q.after, err = parseToken(values.Get("continue")); err != nil {
		return q, err
	}
	if q.selector, err = labels.Parse(values.Get("labelSelector")); err != nil {
		return q, fmt.Errorf("labelSelector: %w", err)
	}
	return q, nil
}

// token names an object so that the next page begins after it.
func token(key client.ObjectKey) string {
	return base64.RawURLEncoding.EncodeToString([]byte(key.Namespace + "/" + key.Name))
}

func parseToken(text string) (client.ObjectKey, error) {
	if text == "" {
		return client.ObjectKey{}, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	namespace, name, ok := strings.Cut(string(decoded), "/")
	if err != nil || !ok || name == "" {
		return client.ObjectKey{}, errors.New("continue is not what a list answered")
	}
	return client.ObjectKey{Namespace: namespace, Name: name}, nil
}

func compare(a, b client.ObjectKey) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}
