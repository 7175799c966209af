package main

import (
	"context"
	"errors"
	"time"

	"github.com/go-kit/log/level"

	"github.com/onefiveten/onefiveten/promapi"
)

// Bounds of the pause that is read from the living servers (HEALING 2).
const (
	gatherLeast      = 5 * time.Second
	gatherUnreadable = 20 * time.Second
	gatherAsk        = 5 * time.Second
)

// gather is the pause between the first location and the first choice where
// the configuration has none: the longest interval of the rule groups that hold
// triggers and the group_wait of the route to us.
func (r *receiver) gather(ctx context.Context) time.Duration {
	now := r.now.Load()
	if now.book.Gather > 0 {
		return now.book.Gather
	}
	ctx, cancel := context.WithTimeout(ctx, gatherAsk)
	defer cancel()
	every, err := r.triggerInterval(ctx)
	var wait time.Duration
	if err == nil {
		wait, err = r.groupWait(ctx)
	}
	if err != nil {
		level.Warn(r.logger).Log("msg", "gather is not configured and cannot be read: set it, or restart when the servers answer", "used", gatherUnreadable, "err", err)
		return gatherUnreadable
	}
	pause := max(every+wait, gatherLeast)
	level.Info(r.logger).Log("msg", "gather was read from the living servers", "used", pause, "rule_interval", every, "group_wait", wait)
	return pause
}

// triggerInterval is the longest interval of the rule groups that hold triggers.
func (r *receiver) triggerInterval(ctx context.Context) (time.Duration, error) {
	book := r.now.Load().book
	var longest time.Duration
	for _, server := range book.Prometheus {
		client, err := prometheusClient(server)
		if err != nil {
			return 0, err
		}
		groups, err := client.RuleGroups(ctx)
		if err != nil {
			return 0, err
		}
		for _, g := range groups {
			if holdsTrigger(book.Trigger, g) {
				longest = max(longest, g.Interval)
			}
		}
	}
	if longest == 0 {
		return 0, errors.New("no rule group of prometheus holds a trigger: another ruler may")
	}
	return longest, nil
}

func holdsTrigger(trigger func(map[string]string) bool, g promapi.RuleGroup) bool {
	for _, name := range g.Alerts {
		if trigger(map[string]string{"alertname": name}) {
			return true
		}
	}
	return false
}
