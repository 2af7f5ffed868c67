// Package workbench is what authors of rules work with: it makes a directory of rules,
// adds recipes to it, formats and describes rules, runs their tests, and traces them.
package workbench
