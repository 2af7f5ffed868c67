// Package policy holds the words of the program: Profile, Facts, Input,
// Contribution, Decision, Operation. They are plain values that can be printed,
// saved and compared:
//
//	profiles -> facts -> input -> contributions -> decisions -> plan -> executor
//
// The package knows no files, no policy language and no supervisor. It imports only the standard
// library, and all other packages meet here.
package policy
