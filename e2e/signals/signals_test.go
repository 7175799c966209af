package signals_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bad is far beyond every threshold.
const bad = "500"

func TestSignals_AFaultOfOneNodeRaisesItsGaugeAndTheAlert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.warm()
	now := w.results()
	for name, want := range map[string]string{
		"signal_up": "1", "signal_stale_after_seconds": "3",
	} {
		if got := now.one(name, "observer=a", "service=shop", "signal=queue"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := now.values("ksigma_fault", "job=probe", "observer=a", "service=shop", "role=node", "signal=queue", "instance=n2", "node=n2"); got != "n2=0" {
		t.Errorf("the labels of a series of a signal: got %q in\n%v", got, now["ksigma_fault"])
	}
	if got := now.values("ksigma_threshold", "signal=queue", "bound=upper"); strings.Count(got, "=") != 3 {
		t.Errorf("the thresholds of three nodes: got %q", got)
	}
	if got := w.faulty(); got != "" {
		t.Errorf("alerts before the fault, of %s", got)
	}

	w.page.says(map[string]string{`queue_length{node="n2"}`: bad})
	w.becomes("the fault of n2", "n1=0 n2=1 n3=0", func() string { return w.results().faults("queue") })
	w.becomes("the alert of queue alone", "queue", w.faulty)
	for _, s := range w.ask(`ALERTS{alertname="SignalFault"}`) {
		if s.Metric["service"] != "shop" || s.Metric["severity"] != "ticket" || s.Metric["heal"] != "" {
			t.Errorf("the labels of the alert: %v", s.Metric)
		}
	}
	w.page.says(nil)
	w.becomes("the end of the fault", healthy, func() string { return w.results().faults("queue") })
	w.becomes("the end of the alert", "", w.faulty)

	w.server.Stop(time.Minute)
	w.becomes("without Prometheus the verdicts leave the page", "", func() string { return w.results().faults("queue") })
	if got := w.results().one("signal_up", "signal=queue"); got != "0" || !w.own().failed("queue", "query") {
		t.Errorf("without Prometheus signal_up is %q, want 0, and signal_failures_total for query more than 0", got)
	}
}

// What is wrong with each signal is another thing; all of it goes on at once, and
// ends at once.
func TestSignals_WhatCannotBeReadIsSeenAndNeverHealthy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.warm()
	w.becomes("orders, which nobody exposes, are told of as such", "true", func() string { return fmt.Sprint(w.own().failed("orders", "empty")) })
	if now := w.results(); now.one("signal_up", "signal=orders") != "0" || now.faults("orders") != "" {
		t.Errorf("of orders there is no answer: signal_up %q, verdicts %q, want 0 and none", now.one("signal_up", "signal=orders"), now.faults("orders"))
	}

	w.page.says(map[string]string{
		`cache_ratio{node="n2"}`: "NaN", `workers{node="n2"}`: gone, `paint{node="n2"}`: gone,
		`queue_length{node="n1"}`: gone, `queue_length{node="n2"}`: gone, `queue_length{node="n3"}`: gone,
	}, `shards{node="n4"} 100`, `shards{node="n5"} 100`, `paint{node="n2",service="other"} 100`, `orders{node="n1"} 100`)
	w.becomes("every loss is seen", "", func() string { return w.blind(w.results(), w.own()) })
	w.queries("queue", 5, func(now exposition) {
		for signal, want := range seen() {
			if got := now.faults(signal); got != want && got != "" { // none at all where this machine is too busy to answer
				t.Errorf("verdicts of %s while it cannot be read: got %q, want %q", signal, got, want)
			}
		}
	})
	w.becomes("the alert of signals that nothing is known of", "queue shards", func() string { return w.alerts("SignalStale") })
	if got := w.faulty(); got != "" {
		t.Errorf("what is not known to be bad is no fault, but there are alerts of %s", got)
	}

	w.page.says(nil)
	w.warm()
	w.eventually("every signal is up again", func() string {
		now := w.results()
		for name := range seen() {
			if got := now.one("signal_up", "signal="+name); got != "1" {
				return fmt.Sprintf("%s: signal_up is %q", name, got)
			}
		}
		return ""
	})
	w.becomes("orders, which are gone again, are the one signal that nothing is known of", "orders", func() string { return w.alerts("SignalStale") })
}

// seen are the verdicts that are left while the page is not well.
func seen() map[string]string {
	return map[string]string{"ratio": "n1=0 n3=0", "workers": "n1=0 n3=0", "paint": "n1=0 n3=0", "shards": "", "queue": ""}
}

// blind tells what is not seen as it should be while the page is not well.
func (w *world) blind(now, own exposition) string {
	for signal, want := range seen() {
		if got := now.faults(signal); got != want {
			return fmt.Sprintf("verdicts of %s: got %q, want %q", signal, got, want)
		}
		up := map[bool]string{true: "1", false: "0"}[want != ""]
		if got := now.one("signal_up", "signal="+signal); got != up {
			return fmt.Sprintf("signal_up of %s: got %q, want %q", signal, got, up)
		}
		left := fmt.Sprint(strings.Count(want, "="))
		if got := own.one("signal_series", "signal="+signal); got != left {
			return fmt.Sprintf("signal_series of %s: got %q, want %q", signal, got, left)
		}
	}
	for signal, reason := range map[string]string{"ratio": "not_finite", "workers": "traffic", "paint": "labels", "shards": "too_many_series", "queue": "empty"} {
		if !own.failed(signal, reason) {
			return fmt.Sprintf("signal_failures_total of %s for %s is 0", signal, reason)
		}
	}
	return ""
}

// A Prometheus that hangs takes connections and answers nothing.
func TestSignals_APrometheusThatHangsIsSeenAndEndsNoFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.warm()
	w.page.says(map[string]string{`queue_length{node="n2"}`: bad})
	const faulty = "n1=0 n2=1 n3=0"
	w.becomes("the fault of n2", faulty, func() string { return w.results().faults("queue") })

	w.tell(syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(w.server.Pid(), syscall.SIGCONT) }) // so that it can be ended
	w.becomes("the verdicts leave the page", "", func() string { return w.results().faults("queue") })
	w.queries("queue", 2, func(now exposition) {
		for _, name := range signalNames() {
			if got := now.faults(name); got != "" {
				t.Errorf("verdicts of %s while nobody answers: got %q, want none", name, got)
			}
			if got := now.one("signal_up", "signal="+name); got != "0" {
				t.Errorf("signal_up of %s while nobody answers: got %q, want 0", name, got)
			}
		}
	})
	own := w.own()
	for _, name := range signalNames() {
		if !own.failed(name, "timeout") {
			t.Errorf("signal_failures_total of %s for timeout is 0", name)
		}
	}

	w.tell(syscall.SIGCONT)
	w.becomes("the fault of n2 is there again", faulty, func() string {
		got := w.results().faults("queue")
		if strings.Contains(got, "n2=0") {
			t.Fatalf("the fault went on, but n2 was said to be well: %s", got)
		}
		return got
	})
	w.becomes("the alert", "queue", w.faulty)
	w.page.says(nil)
	w.becomes("the end of the fault", healthy, func() string { return w.results().faults("queue") })
	w.becomes("the end of the alert", "", w.faulty)
}
