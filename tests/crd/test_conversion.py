"""Conversions find what they restore by its key. Real Go on a real project."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaffold import project
from tests.gotests import Record, go_test

pytestmark = pytest.mark.golang

# Ports are told apart by name and number; the number is optional, and wider in v1,
# which alone has a note. Words have no key.
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: routes.net.example.com}
spec:
  group: net.example.com
  scope: Namespaced
  names: {kind: Route, plural: routes}
  versions:
%s
"""
VERSION = """\
    - name: %s
      served: true
      storage: %s
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                ports:
                  type: array
                  x-kubernetes-list-type: map
                  x-kubernetes-list-map-keys: [name, number]
                  items:
                    type: object
                    required: [name]
                    properties:
                      name: {type: string}
                      number: {type: integer, format: %s, default: 80}
                      %s
                words:
                  type: array
                  items:
                    type: object
                    properties:
                      word: {type: string}
                      %s
"""
NOTE = "note: {type: string}"
TEST = """\
package v1beta1

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	hub "example.com/routes/api/net/v1"
)

func TestItemsAreFoundByTheirKeys(t *testing.T) {
	stored := &hub.Route{Spec: &hub.RouteSpec{
		Ports: []hub.RouteSpecPortsItem{
			{Name: "a", Number: new(int64(1)), Note: new("first")},
			{Name: "a", Number: new(int64(2)), Note: new("second")},
			{Name: "b", Note: new("third")},
		},
		Words: []hub.RouteSpecWordsItem{{Word: new("x"), Note: new("one")}, {Word: new("y"), Note: new("two")}},
	}}
	seen := &Route{}
	if err := seen.ConvertFrom(stored); err != nil {
		t.Fatal(err)
	}
	ports := seen.Spec.Ports
	// One is gone, one is new, the others have changed their places.
	seen.Spec.Ports = []RouteSpecPortsItem{ports[2], {Name: "c"}, ports[0]}
	seen.Spec.Words = seen.Spec.Words[:1]
	now := &hub.Route{}
	if err := seen.ConvertTo(now); err != nil {
		t.Fatal(err)
	}
	want := []hub.RouteSpecPortsItem{
		{Name: "b", Note: new("third")},
		{Name: "c"},
		{Name: "a", Number: new(int64(1)), Note: new("first")},
	}
	if diff := cmp.Diff(want, now.Spec.Ports); diff != "" {
		t.Errorf("ports (-want +got):\\n%s", diff)
	}
	if diff := cmp.Diff(stored.Spec.Words[:1], now.Spec.Words); diff != "" {
		t.Errorf("words (-want +got):\\n%s", diff)
	}
}
"""


def test_items_of_keyed_lists_are_restored_by_their_keys(
    tmp_path: Path, record_property: Record
) -> None:
    versions = [
        VERSION % ("v1beta1", "false", "int32", "", ""),
        VERSION % ("v1", "true", "int64", NOTE, NOTE),
    ]
    made = tmp_path / "routes"
    project.new(
        made,
        [(CRD % "".join(versions)).encode()],
        {"project_name": "routes", "module": "example.com/routes"},
    )
    (made / "api/net/v1beta1/keys_test.go").write_text(TEST)
    go_test(made, record_property, "./api/...")
