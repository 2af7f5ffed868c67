// Package s6 makes, changes and removes the slots of profiles in a scan directory of
// s6-svscan, and reports what is in the scan directory. Only this package and the
// packages below it know a scan directory.
//
// A slot is the service directory gateway-<profile>. Decisions say which profiles have a
// slot and whether the slot is down; this package decides neither.
//
// What s6 does with a slot, and what this package does about it (seen with s6 2.11 and
// 2.15; package supervise has the protocol):
//
//   - s6-svscan ignores names that start with a dot. A slot is built complete under such
//     a name and renamed into place.
//   - s6-supervise keeps the directory that it was started on, also when the name of the
//     directory changes. The directory of a supervised slot is never replaced; its files
//     are replaced one by one, by rename.
//   - s6-supervise reads "down" once, when it starts. "down" is made before the slot
//     becomes visible.
//   - s6-supervise leaves an existing event, supervise, control and lock as they are. A slot
//     has them from the beginning, with modes that let the user control it.
//   - s6-supervise opens what it finds in event, and writes to files below supervise by
//     name. Nobody but root can make a name there.
//
// The scan directory belongs to whoever runs s6-svscan. Slots that this package makes
// belong to root. The unprivileged user may only control and watch them: a user who owns
// a slot can become root, since s6-supervise runs as root and follows links below
// "supervise".
package s6
