package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// decodeDashboard takes {"text": the JSON of a Grafana dashboard} and answers
// {"panels": number} if Grafana's own schema knows every field of it.
func decodeDashboard(args json.RawMessage) (any, error) {
	var a struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(args, &a); err != nil {
		return nil, err
	}
	var d dashboard.Dashboard //nolint:staticcheck // its successor is another schema, which the sidecar does not read
	if err := found(d.UnmarshalJSONStrict([]byte(a.Text))); err != nil {
		return nil, fmt.Errorf("decoding the dashboard: %w", err)
	}
	if err := found(d.Validate()); err != nil {
		return nil, fmt.Errorf("validating the dashboard: %w", err)
	}
	return map[string]int{"panels": len(d.Panels)}, nil
}

// found returns err unless that is a list of no errors, which the SDK returns too.
func found(err error) error {
	var list cog.BuildErrors
	if errors.As(err, &list) && len(list) == 0 {
		return nil
	}
	return err
}
