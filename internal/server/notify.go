package server

import (
	"fmt"
	"maps"
	"slices"

	"github.com/openoms/openoms/internal/egress"
	"github.com/openoms/openoms/internal/notify"
)

// targets reads where the messages of topics go. The error names the topic and nothing of its URL.
func (c *Config) targets() (map[string]notify.Target, error) {
	targets := make(map[string]notify.Target, len(c.Topics))
	for _, urn := range slices.Sorted(maps.Keys(c.Topics)) {
		target, err := notify.ParseTarget(c.Topics[urn])
		if err != nil {
			return nil, fmt.Errorf("notify.topics: %q: %w", urn, err)
		}
		targets[urn] = target
	}
	return targets, nil
}

// newNotifier wires what sends messages about ends. Its network is that of tasks, but for the targets, which the operator
// chose and tasks must not reach.
func newNotifier(cfg Config, st *store, rules egress.Options, opts Options) (*notify.Notifier, error) {
	targets, err := cfg.targets()
	if err != nil {
		return nil, err
	}
	rules.AllowEndpoints = notify.Addresses(targets)
	network, err := egress.New(rules)
	if err != nil {
		return nil, err
	}
	return notify.New(notify.Options{
		Store: st, Network: network, Topics: targets, UserAgent: "openoms/" + opts.Version, Logger: opts.Logger, Clock: opts.Clock,
	})
}
