package healer

import (
	"testing"
	"time"
)

func TestWhoMutesTheLocationMutesTheActionThatRestsOnIt(t *testing.T) {
	const detected, located, other = "main/FaultDetected", "main/FaultLocated", "main/Other"
	for name, x := range map[string]struct {
		muted map[string]string // by source/fingerprint; what is not in it is active
		want  string
	}{
		"none":                                         {nil, "act act"},
		"the detection is silenced":                    {map[string]string{detected: "silence:1"}, "act act"},
		"the location is silenced":                     {map[string]string{located: "silence:1"}, "wait silenced"},
		"the location is inhibited by others":          {map[string]string{located: "inhibited:feed"}, "wait inhibited"},
		"the location is judged by no peer":            {map[string]string{located: unprocessed}, "refuse cannot_tell"},
		"the location is inhibited by the detection":   {map[string]string{located: "inhibited:FaultDetected"}, "act act"},
		"and that is inhibited by others":              {map[string]string{located: "inhibited:FaultDetected", detected: "inhibited:feed"}, "wait inhibited"},
		"and that is silenced":                         {map[string]string{located: "inhibited:FaultDetected", detected: "silence:1"}, "wait silenced"},
		"and that is judged by no peer":                {map[string]string{located: "inhibited:FaultDetected", detected: unprocessed}, "refuse cannot_tell"},
		"and that by a third of ours":                  {map[string]string{located: "inhibited:FaultDetected", detected: "inhibited:Other"}, "act act"},
		"which is silenced":                            {map[string]string{located: "inhibited:FaultDetected", detected: "inhibited:Other", other: "silence:1"}, "wait silenced"},
		"two of ours inhibit each other":               {map[string]string{located: "inhibited:FaultDetected", detected: "inhibited:FaultLocated"}, "act act"},
		"two of ours inhibit each other, one silenced": {map[string]string{located: "inhibited:FaultDetected", detected: "inhibited:FaultLocated,silence:1"}, "wait silenced"},
		"all are inhibited by others":                  {map[string]string{located: "inhibited:feed", detected: "inhibited:feed", other: "inhibited:feed"}, "wait inhibited"},
	} {
		s := newScene(t)
		s.c.Episodes = append(s.c.Episodes, trigger("FaultDetected", now0.Add(-time.Minute)), trigger("Other", now0.Add(-time.Minute)))
		s.f.Muted = map[string]string{detected: "", located: "", other: ""}
		for key, by := range x.muted {
			s.f.Muted[key] = by
		}
		got, want := s.ruling(t), x.want
		if want == "wait silenced" || want == "wait inhibited" {
			want += ", looks again in 5s"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestOneOfTwoLocationsMayBeSilencedForTheServiceAsAWhole(t *testing.T) {
	s := newScene(t)
	at := now0.Add(-time.Minute)
	first, second := trigger(alertLocated, at, "scope", "service", "signal", "a"), trigger(alertLocated, at, "scope", "service", "signal", "b")
	second.Fingerprint = "second"
	s.c.Episodes = []Episode{first, second}
	s.f.Muted = map[string]string{"main/FaultLocated": "silence:1", "main/second": ""}
	k := s.desk.choose(s.c, s.f)
	if r, err := judgeMuted(s.desk, s.c, k, s.f); err != nil || r.Verb != "" {
		t.Errorf("one location is active: %s %s, %v", r.Verb, r.Code, err)
	}
	s.f.Muted["main/second"] = "silence:2"
	if r, err := judgeMuted(s.desk, s.c, k, s.f); err != nil || r.Code != codeSilenced {
		t.Errorf("both are silenced: %s %s, %v", r.Verb, r.Code, err)
	}
}
