// Package plan holds what people have foreseen: services, plans, scenarios and
// limits. It is given the settings of heal-receiver.yml and gives a Book; from
// a plan and the data of one incident it gives a target, rendered steps and
// queries, or a Refusal. Values from outside are data: none of them changes the
// number of arguments, the place a URL leads to or the structure of a query
// (HEALING 8). The package asks nothing, waits for nothing and reads no clock.
package plan
