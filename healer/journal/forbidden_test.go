package journal

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forbidden are the states that the schema refuses whoever writes them. setup
// must go through; last must be refused for the reason named.
var forbidden = []struct{ name, setup, last, reason string }{
	{"a second meta row", "", "insert into meta values (2, 1, 1)", "CHECK"},
	{"a second chain head", "", "insert into chain_head values (2, 1, 'h')", "CHECK"},
	{"an inbox row in an unknown state", "", "insert into inbox (id, received_at, source, size, body, state) values ('n', 1, 's', 0, '', 'odd')", "CHECK"},
	{"two keys of one fingerprint", "", "insert into alert_key (source, fingerprint) values ('s', 'f')", "UNIQUE"},
	{"an incident without key", "", incidentRow("x", "", "locating", "1"), "CHECK"},
	{"an incident in an unknown state", "", incidentRow("x", "k2", "healing", "1"), "CHECK"},
	{"a second open incident of one key", "", incidentRow("x", "k", "locating", "1"), "UNIQUE"},
	{"an incident that waits without a timer", "", incidentRow("x", "k2", "waiting", "null"), "CHECK"},
	{"an incident that is with a human without a timer", "", incidentRow("x", "k2", "with_human", "null"), "CHECK"},
	{"a closed incident without closed_at", "", "update incident set state = 'closed'", "CHECK"},
	{"an open incident with closed_at", "", "update incident set closed_at = 1, close_reason = 'quiet'", "CHECK"},
	{"a closed incident without reason", "", "update incident set state = 'closed', closed_at = 1", "CHECK"},
	{"an ack by nobody", "", "update incident set acked_at = 1", "CHECK"},
	{"an incident's owner without a lease", "", "update incident set owner = 'w'", "CHECK"},
	{"a severity beyond P5", "", "update incident set severity = 6", "CHECK"},
	{"an unknown scope", "", "update incident set scope = 'rack'", "CHECK"},
	{"an incident of a drill that was not issued", "", "update incident set drill = 'forged'", "FOREIGN KEY"},
	{"an instant of an unknown name", "", "insert into instant values ('i', 0, 'guessed', 1, 's', '')", "CHECK"},
	{"two instants of one name in a round", "insert into instant values ('i', 0, 'acted', 1, 's', '')", "insert into instant values ('i', 0, 'acted', 2, 's', '')", "UNIQUE"},
	{"a second open episode of one fingerprint", "", episodeRow("e2", "s", "f"), "UNIQUE"},
	{"an episode without alert_key", "", episodeRow("e2", "s", "other"), "FOREIGN KEY"},
	{"an episode that ended without a reason", "", "update episode set closed_at = 1", "CHECK"},
	{"an episode that ended for an unknown reason", "", "update episode set closed_at = 1, close_reason = 'lost'", "CHECK"},
	{"a second active run of one incident", "", runRow("r2", "i", "node:n2", "ready", "null", "1", "null"), "UNIQUE"},
	{"a run without a target", "", "update run set target = ''", "CHECK"},
	{"a run of an unknown kind", "", "update run set kind = 'reinstall'", "CHECK"},
	{"a run in mode observe", "", "update run set mode = 'observe'", "CHECK"},
	{"a run of no incident", "", runRow("r2", "nobody", "node:n2", "ready", "null", "1", "null"), "FOREIGN KEY"},
	{"a run that acts without an owner", "", "update run set owner = null, lease_until = null", "CHECK"},
	{"a run's lease of nobody", "", "update run set owner = null", "CHECK"},
	{"a live run without a timer", "", "update run set due_at = null", "CHECK"},
	{"a success without a time fence", "", "update run set state = 'succeeded', ended_at = 1", "CHECK"},
	{"an end without an instant", "", "update run set state = 'failed'", "CHECK"},
	{"a live run with an end", "", "update run set ended_at = 1", "CHECK"},
	{"a manual run that nobody asked for", "", "update run set purpose = 'manual'", "CHECK"},
	{"an attempt that is counted twice", "update run set state = 'failed', ended_at = 1", runRow("r2", "i", "node:n1", "ready", "null", "1", "null"), "UNIQUE"},
	{"an intent stated twice", step("act", "null", "null"), step("act", "null", "null"), "UNIQUE"},
	{"a step of an unknown phase", "", step("wait", "null", "null"), "CHECK"},
	{"a finished step without outcome", "", step("act", "2", "null"), "CHECK"},
	{"an outcome of a step that has not finished", "", step("act", "null", "'ok'"), "CHECK"},
	{"a proof with an unknown answer", "", "insert into verify_sample values ('r', 1, 'maybe', '{}')", "CHECK"},
	{"an act without a run", "", decisionRow("act", "act", "null", "null"), "CHECK"},
	{"a question without a run", "", decisionRow("ask", "mode_approve", "null", "null"), "CHECK"},
	{"a wait without a next look", "", decisionRow("wait", "lock", "null", "null"), "CHECK"},
	{"a decision without a code", "", decisionRow("refuse", "", "null", "null"), "CHECK"},
	{"two locks of one target", "insert into target_lock values ('node:n1', 'r')", "insert into target_lock values ('node:n1', 'r')", "UNIQUE"},
	{"a lock of nothing", "", "insert into target_lock values ('', 'r')", "CHECK"},
	{"a lock of no run", "", "insert into target_lock values ('node:n1', 'nobody')", "FOREIGN KEY"},
	{"two runs in one place", "insert into slot values ('all', 1, 'r')", "insert into slot values ('all', 1, 'r')", "UNIQUE"},
	{"one run in two places of a scope", "insert into slot values ('all', 1, 'r')", "insert into slot values ('all', 2, 'r')", "UNIQUE"},
	{"a place below the first", "", "insert into slot values ('all', 0, 'r')", "CHECK"},
	{"an action counted twice", "insert into budget values ('b'); insert into action_event values ('a', 1, 'b', 'r')", "insert into action_event values ('a2', 2, 'b', 'r')", "UNIQUE"},
	{"an action without its budget row", "", "insert into action_event values ('a', 1, 'b', 'r')", "FOREIGN KEY"},
	{"a hold of nobody", "", "insert into hold (id, kind, matchers, holder, reason, created_at) values ('h', 'pause', '{}', '', 'r', 1)", "CHECK"},
	{"a hold without a reason", "", "insert into hold (id, kind, matchers, holder, reason, created_at) values ('h', 'pause', '{}', 'ann', '', 1)", "CHECK"},
	{"a maintenance without an end", "", "insert into hold (id, kind, matchers, holder, reason, created_at) values ('h', 'maintenance', '{}', 'ann', 'r', 1)", "CHECK"},
	{"a demotion to auto", "", "insert into demotion values ('p', 'auto', 1, 'r')", "CHECK"},
	{"a second mitigation of a target and kind", mitigationRow("m1", "unknown", "1", "null"), mitigationRow("m2", "unknown", "1", "null"), "UNIQUE"},
	{"a mitigation of a kind that leaves nothing", "", strings.Replace(mitigationRow("m1", "unknown", "1", "null"), "isolate", "restart", 1), "CHECK"},
	{"a held mitigation that nobody will release", "", mitigationRow("m1", "held", "0", "null"), "CHECK"},
	{"a release without an instant", "", mitigationRow("m1", "released", "1", "null"), "CHECK"},
	{"a release by nobody", "", "insert into mitigation (id, incident, run, service, target, kind, state, since, release_manual, released_at) values ('m', 'i', 'r', 's', 'node:n1', 'isolate', 'released', 1, 1, 2)", "CHECK"},
	{"an approval that has expired when it is asked for", "", "insert into approval (run, plan_hash, target, token_hash, asked_at, expires_at) values ('r', 'h', 't', 'k', 2, 2)", "CHECK"},
	{"an answer by nobody", "", "insert into approval (run, plan_hash, target, token_hash, asked_at, expires_at, answer, answered_at) values ('r', 'h', 't', 'k', 1, 2, 'yes', 1)", "CHECK"},
	{
		"one message twice", "insert into outbox (id, kind, sink, dedup, body, created_at, next_at) values ('o1', 'tell', 's', 'd', '', 1, 1)",
		"insert into outbox (id, kind, sink, dedup, body, created_at, next_at) values ('o2', 'tell', 's', 'd', '', 1, 1)", "UNIQUE",
	},
	{"an unsent message without a next try", "", "insert into outbox (id, kind, sink, dedup, body, created_at) values ('o1', 'tell', 's', 'd', '', 1)", "CHECK"},
	{"a fork of the chain", "insert into audit values (1, 1, null, null, 'me', 'e', '', '{}', '', 'h1')", "insert into audit values (2, 1, null, null, 'me', 'e', '', '{}', '', 'h2')", "UNIQUE"},
	{"an entry of no actor", "", "insert into audit values (1, 1, null, null, '', 'e', '', '{}', '', 'h1')", "CHECK"},
}

func incidentRow(id, key, state, next string) string {
	return "insert into incident (id, key, cluster, service, opened_at, fault_start, fault_start_source, state, next_at) values ('" +
		id + "', '" + key + "', 'c', 's', 1, 1, 'startsAt', '" + state + "', " + next + ")"
}

func episodeRow(id, source, fingerprint string) string {
	return "insert into episode (id, source, fingerprint, labels, opened_at, starts_at, seen_at) values ('" + id + "', '" + source + "', '" + fingerprint + "', '{}', 1, 1, 1)"
}

func runRow(id, incident, target, state, owner, due, ended string) string {
	return "insert into run (id, incident, plan, kind, plan_hash, plan_text, target, attempt, mode, state, owner, lease_until, not_before, due_at, created_at, ended_at) values ('" +
		id + "', '" + incident + "', 'p', 'isolate', 'h', '{}', '" + target + "', 1, 'auto', '" + state + "', " + owner + ", " + owner + ", 1, " + due + ", 1, " + ended + ")"
}

func step(phase, finished, outcome string) string {
	return "insert into step (run, phase, n, try, fence, what, intent_at, finished_at, outcome) values ('r', '" + phase + "', 0, 1, 1, 'w', 1, " + finished + ", " + outcome + ")"
}

func decisionRow(verb, code, next, run string) string {
	return "insert into decision (id, incident, at, last_at, round, rung, decision, code, next_at, run) values ('d', 'i', 1, 1, 0, 0, '" + verb + "', '" + code + "', " + next + ", " + run + ")"
}

func mitigationRow(id, state, manual, releaseAt string) string {
	return "insert into mitigation (id, incident, run, service, target, kind, state, since, release_manual, release_at) values ('" +
		id + "', 'i', 'r', 's', 'node:n1', 'isolate', '" + state + "', 1, " + manual + ", " + releaseAt + ")"
}

// testForbidden tries each forbidden state from the same small world, and
// takes it back. name tells the kind of constraint of a dialect's error.
func testForbidden(t *testing.T, db *sql.DB, kind func(error) string) {
	for _, row := range []string{
		"insert into chain_head values (1, 0, '')",
		"insert into alert_key (source, fingerprint) values ('s', 'f')",
		incidentRow("i", "k", "acting", "1"),
		episodeRow("e", "s", "f"),
		runRow("r", "i", "node:n1", "running", "1", "1", "null"),
	} {
		if _, err := db.Exec(row); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
	}
	for _, test := range forbidden {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(test.setup); err != nil {
			t.Errorf("%s: its setup: %v", test.name, err)
		}
		_, err = tx.Exec(test.last)
		if err == nil {
			t.Errorf("%s was kept, want it refused", test.name)
		} else if got := kind(err); got != test.reason {
			t.Errorf("%s: refused by %s, want %s", test.name, err, test.reason)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSQLite_ForbiddenStatesAreRefusedByConstraint(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "journal.db"), time.Now)
	testForbidden(t, s.write, func(err error) string {
		for _, kind := range []string{"CHECK", "UNIQUE", "FOREIGN KEY"} {
			if strings.Contains(err.Error(), kind+" constraint failed") {
				return kind
			}
		}
		return "nothing known"
	})
	if len(forbidden) < 32 {
		t.Errorf("%d forbidden states are tried, want at least 32", len(forbidden))
	}
}
