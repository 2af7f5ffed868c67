// Package s6 makes, changes and removes the slots of profiles in a scan
// directory of s6-svscan, and reports what is there. It is the only package
// that knows a scan directory.
//
// A slot is the service directory gateway-<profile>. Decisions say which profiles
// have a slot and whether the slot is down; this package decides neither.
//
// What s6 does with a slot, and what follows from it here (seen with s6 2.11
// and 2.15):
//
//   - s6-svscan ignores names that start with a dot. A slot is built complete
//     under such a name and renamed into place.
//   - s6-supervise keeps the directory it was started on, also when the name of
//     the directory changes. So the directory of a supervised slot is never
//     replaced; its files are replaced one by one, by rename.
//   - s6-supervise reads "down" once, when it starts. So "down" is made before
//     the slot becomes visible.
//   - s6-supervise and s6-svscan hold POSIX record locks (not flock) for as
//     long as they live. Looking at a lock (F_GETLK) is safe; taking the lock to
//     test it would keep a supervisor from starting.
//   - A control command, one byte in a control FIFO, is a request. The lock and
//     the status file show its effect, and are polled until a deadline.
//
// The scan directory belongs to whoever runs s6-svscan. Slots that this package
// makes belong to root. The unprivileged user may only control and watch them: a
// user who owns a slot can become root, since s6-supervise runs as root and follows
// links below "supervise".
package s6
