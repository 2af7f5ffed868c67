// Package s6 makes, changes and removes the slots of profiles in a scan
// directory of s6-svscan, and reports what is there. It is the only package
// that knows a scan directory.
//
// A slot is the service directory gateway-<profile>. The package decides
// nothing: which profiles have one, and whether it is down, comes in as
// decisions, and why is the rules' part.
//
// What s6 does with a slot, and what follows from it here (seen with s6 2.11
// and 2.15):
//
//   - s6-svscan ignores names that start with a dot. A slot is built complete
//     under such a name and renamed into place.
//   - s6-supervise keeps the directory it was started on, whatever becomes of
//     its name. The directory of a slot that is supervised is never replaced;
//     its files are, one by one, by rename.
//   - "down" is read once, when s6-supervise starts: it is there before the
//     slot is visible.
//   - s6-supervise and s6-svscan hold POSIX record locks (not flock) for as
//     long as they live. Looking at a lock (F_GETLK) is safe; taking one to
//     test it would stop a supervisor from starting.
//   - A letter in a control FIFO is a request. What became of it is read from
//     the lock and the status file, until a deadline.
//
// The scan directory belongs to whoever runs s6-svscan. Slots that this package
// makes belong to root, and the unprivileged user may control and watch them,
// no more: a slot that belongs to that user makes it root, since s6-supervise
// runs as root and follows links below "supervise".
package s6
