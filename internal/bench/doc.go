// Package bench measures how fast Provost is, each time as a ratio to its floor:
// the least that any program would have to do for the same result, measured in
// the same run on the same machine.
//
// The usual path is `make bench`, which runs every benchmark of this package
// once, prints one table, and writes it to docs/BENCHMARKS.md. One measurement:
//
//	make bench BENCH=Pull
//
// and a quick look at a hundredth of the size, which writes nothing:
//
//	make bench SCALE=0.01
//
// Each benchmark builds the real program, runs it as a process of its own beside
// a real PostgreSQL (fsync on) and a real slapd, and speaks to it as its users do:
// by SCIM over HTTP and by the provost command. The largest directory comes from a
// generator instead, to an engine in a process of its own. Everything is in test files,
// because the servers come from internal/testenv; without -bench nothing runs.
//
// It never judges a time, only ratios: absolute times are those of one machine on
// one day.
package bench
