package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"
)

// recordRules are the rules for one section of an answer. An expression is
// matched against each record as a zone file writes it, such as
// "example.com.\t3600\tIN\tA\t192.0.2.1".
type recordRules struct {
	// FailIfMatches fails on a record that matches any of them.
	FailIfMatches []pattern `yaml:"fail_if_matches_regexp,omitempty"`
	// FailIfAllMatch fails unless every record matches all of them: the opposite
	// of its name. So blackbox_exporter does it, and the files that are written
	// for it rely on that. A section without records passes.
	FailIfAllMatch []pattern `yaml:"fail_if_all_match_regexp,omitempty"`
	// FailIfNotMatches fails unless every record matches all of them. A section
	// without records fails.
	FailIfNotMatches []pattern `yaml:"fail_if_not_matches_regexp,omitempty"`
	// FailIfNoneMatches fails unless one record matches one of them.
	FailIfNoneMatches []pattern `yaml:"fail_if_none_matches_regexp,omitempty"`
}

// judge gives the first rule that the records of a section break, or the end of
// ctx: thousands of records fit an answer over TCP.
func (v *recordRules) judge(ctx context.Context, records []dns.RR) error {
	if len(v.FailIfMatches)+len(v.FailIfAllMatch)+len(v.FailIfNotMatches)+len(v.FailIfNoneMatches) == 0 {
		return nil
	}
	if len(records) == 0 && len(v.FailIfNotMatches)+len(v.FailIfNoneMatches) > 0 {
		return errors.New("the section has no records, want some that match")
	}
	texts := make([]string, len(records))
	for i, record := range records {
		if ctx.Err() != nil {
			return judgingLate(ctx, len(records))
		}
		texts[i] = record.String()
		if err := v.judgeOne(texts[i]); err != nil {
			return err
		}
	}
	return v.judgeAll(ctx, texts)
}

// judgingLate is the error of judging at the end of ctx.
func judgingLate(ctx context.Context, records int) error {
	return fail(Timeout, fmt.Errorf("judging %d records: %w", records, context.Cause(ctx)))
}

// judgeOne applies the rules that a single record can break.
func (v *recordRules) judgeOne(text string) error {
	for _, p := range v.FailIfMatches {
		if p.MatchString(text) {
			return fmt.Errorf("fail_if_matches_regexp: record %q matches %q", text, p)
		}
	}
	for _, p := range v.FailIfNotMatches {
		if !p.MatchString(text) {
			return fmt.Errorf("fail_if_not_matches_regexp: record %q does not match %q", text, p)
		}
	}
	return nil
}

// judgeAll applies the rules about all records together.
func (v *recordRules) judgeAll(ctx context.Context, texts []string) error {
	for _, p := range v.FailIfAllMatch {
		for _, text := range texts {
			if ctx.Err() != nil {
				return judgingLate(ctx, len(texts))
			}
			if !p.MatchString(text) {
				return fmt.Errorf("fail_if_all_match_regexp: record %q does not match %q; want all records to match", text, p)
			}
		}
	}
	matched := func(p pattern) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return ctx.Err() == nil && p.MatchString(text) })
	}
	if len(v.FailIfNoneMatches) > 0 && !slices.ContainsFunc(v.FailIfNoneMatches, matched) {
		if ctx.Err() != nil {
			return judgingLate(ctx, len(texts))
		}
		return fmt.Errorf("fail_if_none_matches_regexp: none of %d records matches any of %q", len(texts), v.FailIfNoneMatches)
	}
	return nil
}
