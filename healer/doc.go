// Package healer is the domain of heal-receiver: incidents, decisions, runs,
// mitigations and their reviews. It is given alerts, the plans of package plan
// and the answers of Prometheus and Alertmanager; it gives state changes for a
// Store and actions for an Executor. The steps over an incident and a run are
// pure; only the Engine waits, asks and acts.
//
// The way of a fault through the files:
//
//	accept    a notification is read and kept; the store makes episodes of it
//	gather    episodes without incident join one; the world is asked for facts
//	open      an incident begins: fault start, instants, severity
//	look      timers: gathered, located too late, recovered, relapsed, quiet
//	choose    scenario, verdict, rung, member and target
//	guards    the guards in their order; each names its code and its numbers
//	decide    the decision is recorded and done: a run, a wait, the next rung, people
//	drive     a run goes from intent to act to outcome, and behind the fence to proof
//	finish    what the end of a run means for its mitigation and its incident
//	tell      what people are told; outbox delivers it
//	people    what people ask for
//
// incident, run and mitigation hold the state tables; nothing else moves a
// state. Everything over a Case is pure: the time is Case.Now, other incidents
// are Case.World, and what was asked of the world comes in as facts. A change
// is kept in one transaction of the Store together with its decision, its
// messages and its audit entries, or not at all.
//
// Whatever cannot be told is a no: no answer, no action, and no proof.
package healer
