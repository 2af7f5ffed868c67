package check

import "slices"

// A Code is what kind of mistake a finding is. Codes are stable: a later version may add
// a code, and never changes the meaning of one.
type Code struct {
	Code     string
	Severity Severity
	Means    string
	Fix      string // what would be right
}

// codeOf returns the entry of a code. A code that OPA adds one day is an error.
func codeOf(code string) Code {
	if n := slices.IndexFunc(Codes, func(c Code) bool { return c.Code == code }); n >= 0 {
		return Codes[n]
	}
	return Code{Code: code, Severity: SeverityError}
}

// Codes are all codes. Do not change them.
var Codes = []Code{
	// What makes a layer unusable.
	{"rego_parse_error", SeverityError, "the text is not Rego", "see the place; a rule reads: hold contains {…} if { … }"},
	{"old_syntax", SeverityError, "syntax of Rego before version 1", "write `contains` for a set and `if` before a body"},
	{"rego_compile_error", SeverityError, "the compiler refuses it", ""},
	{"rego_type_error", SeverityError, "values of types that do not fit together", "compare values of one type: `hermes-reconcile schema input` has those of the facts, and a member of a set is an object: some member in hold; member.profile == name"},
	{"rego_unsafe_var_error", SeverityError, "a variable that nothing gives a value", "bind it first, for example: some name, profile in input.profiles"},
	{"rego_recursion_error", SeverityError, "rules that depend on each other", "move the common part to a rule of its own; data.settings always exists, so object.get(data, …) is not needed"},
	{"undefined_function", SeverityError, "a function that does not exist", "check the name, and whether its package is imported"},
	{"unknown_fact", SeverityError, "a fact that does not exist", "`hermes-reconcile schema input` lists the facts"},
	{"unknown_key", SeverityError, "a key that the value of a rule does not have", "check the name, and the rule that makes the value"},
	{"set_member", SeverityError, "a member of a set that cannot exist", "the members of a set are objects: some member in hold; member.profile == name"},
	{"rule_conflict", SeverityError, "rules of one name that do not fit together", "write all of them in the same way, with the same number of arguments"},
	{"assigned_twice", SeverityError, "a variable is assigned twice", "give the second one another name, or compare with =="},
	{"unused_variable", SeverityError, "a variable is assigned and not used", "use it, or assign to _"},
	{"unused_import", SeverityError, "an import is not used", "remove it"},
	{"builtin_not_available", SeverityError, "a builtin whose result depends on more than the input", "use a fact: the clock is input.now, the environment is input.container.environment; for anything else write an external fact"},
	{"package_place", SeverityError, "a package outside reconcile.rules, reconcile.after and reconcile.lib", "name it package reconcile.rules.<name>"},
	{"package_redefined", SeverityError, "a package that exists already", "choose another name; a built-in package is switched off by settings.disabled_rules"},
	{"set_expected", SeverityError, "a set is written as a value or an object", "write: hold contains {\"profile\": name, \"reason\": \"…\"} if …"},
	{"set_default", SeverityError, "a default for a set", "remove the line: a set to which no rule contributes is empty"},
	{"test_file_name", SeverityError, "a file of tests whose name does not end in _test.rego, so that it is read as rules", "rename it to <name>_test.rego"},
	{"contributes_nothing", SeverityError, "a rule package that contributes to no set", "contribute to a set, or name it package reconcile.lib.<name>"},
	{"misspelt_set", SeverityError, "a rule whose name is nearly that of a set", "use the name of the set; give a helper another name"},
	{"member_no_reason", SeverityError, "a member without a reason", `add "reason": "why, in a sentence"`},
	{"member_missing_key", SeverityError, "a member without a key that it must have", "add the key"},
	{"member_unknown_key", SeverityError, "a member with a key that its set does not have", "remove the key, or spell it as the message says"},
	{"member_type", SeverityError, "a member with a value of a wrong type or out of its range", "write the value as the message says"},
	{"member_not_object", SeverityError, "a member that is not an object", `write an object: {"profile": name, "reason": "…"}`},
	{"decisions_too_early", SeverityError, "input.decisions in a package that runs before the decisions", "name the package reconcile.after.<name>"},
	{"unknown_rule", SeverityError, "a waive of a rule package that does not exist", "name the package as `hermes-reconcile policy show` does"},
	{"unknown_setting", SeverityError, "a setting that does not exist", "give it a value in data/settings.yaml, or check the name"},
	{"settings_error", SeverityError, "settings that cannot be used", "the file holds one key, settings, with an object; a known setting keeps its type"},
	{"file_unreadable", SeverityError, "a file of rules that is not a regular file, or cannot be read", "remove it, or check its permissions"},
	{"untrusted", SeverityError, "rules that the user of the agents could have written", "keep the rules off the volume, and make root the owner; `--trust-policy` on a machine without agents"},
	{"directory_unreadable", SeverityError, "a policy directory that cannot be read", "check the path and its permissions"},

	// What fails during evaluation.
	{"conflict", SeverityError, "a rule has two values at once", "make the conditions exclude each other, or use a set"},
	{"builtin_error", SeverityError, "a builtin fails on a value", "test the value first, for example with regex.match or is_number"},
	{"too_slow", SeverityError, "a package exceeds its time limit", "avoid pairs of profiles: collect a set first, then look things up in it"},
	{"too_much_memory", SeverityError, "a package exceeds the memory limit", "avoid large ranges and pairs of profiles"},
	{"enforce_word", SeverityError, "custom.enforce in the METADATA with an unknown word", "write enforce: warn, or leave it out"},
	{"enforce_place", SeverityError, "custom.enforce in METADATA that does not belong to the package", "put it above the package line, with scope: package"},
	{"order_number", SeverityError, "custom.order in METADATA that is no number or does not belong to the package", "write order: 100, with scope: package"},
	{"bad_member", SeverityError, "an invalid member", "write the value as the message says, whatever the facts are"},
	{"rule_failed", SeverityError, "a package fails during evaluation", "`hermes-reconcile explain PROFILE --rule RULE` shows where the rule stops"},

	// What works, but probably not as meant.
	{"undefined_rule", SeverityWarning, "a reference to a rule or package that does not exist: it is undefined, and `not` of it is always true", "check the name; `hermes-reconcile policy show` lists the packages"},
	{"unlike_types", SeverityWarning, "values of two types are compared, which always has the same result", "compare values of one type: write a number without quotes"},
	{"unknown_profile", SeverityWarning, "a member for a profile that the present home does not have", "check the name; `hermes-reconcile eval` lists the profiles"},
	{"setting_not_a_list", SeverityWarning, "a rule searches a setting that is not a list or object, and finds nothing", "write a list: [coder]"},
	{"setting_value", SeverityWarning, "a rule reports that it cannot use the value of a setting", "give the setting a value that the message asks for"},
	{"not_in_enum", SeverityWarning, "a fact is compared with a value that it never has", "use one of the words that the message lists"},
	{"maybe_undefined", SeverityWarning, "a collection over a fact that may be absent is then empty, and the test passes for every profile", "refer to the fact on its own line first, or ask for its status"},
	{"unequal_absence", SeverityWarning, "!= with a fact that may be absent: without the fact it is undefined, not true", "ask for the fact on its own line first, or write object.get(…, default) != …"},
	{"glob_swapped", SeverityWarning, "glob.match with pattern and text in each other's place", "write glob.match(pattern, [], text)"},
	{"never_collected", SeverityWarning, "a variable of the environment that is never a fact", "name the variable HERMES_RECONCILE_…, or write an external fact"},
	{"unchecked_time", SeverityWarning, "a time that is text of a file, which may be no time", "test it on a line before: regex.match(`^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$`, text)"},
	{"rests_on_agent", SeverityWarning, "a start or a waive about which the agent alone decides", "also ask for a setting, or for a fact that the agent cannot write; `hermes-reconcile schema input` says who writes a fact"},
	{"range_with_many", SeverityWarning, "a value that leaves its range in a home with many profiles", "limit it, for example with min({value, limit})"},
	{"negated_absence", SeverityWarning, "`not` before a call with a fact that may be absent: without the fact the whole body has no result", "write the absence on a line of its own, in a rule that `not` can negate, or compare object.get(…, default)"},
	{"builtin_error_likely", SeverityWarning, "a builtin that fails the package if a fact has an unexpected form", "test the value on a line before, for example with regex.match"},
	{"sprintf_arguments", SeverityWarning, "sprintf with more or fewer values than its format has places", "one value for each %"},
	{"sprintf_verb", SeverityWarning, "sprintf with a verb that does not fit the value", "write %v, or the verb of that type: %s for text, %d for whole numbers"},
	{"print_unseen", SeverityWarning, "print() does nothing at a boot", "`eval`, `policy check`, `policy test` and `explain --rule` show what it prints; remove it later, or contribute an alarm"},
	{"setting_unused", SeverityWarning, "a setting that no rule reads", "remove it, or check the name"},
	{"ignored_file", SeverityWarning, "a file that looks like rules or settings, and that nothing reads", "rules are *.rego, settings are data/settings.yaml; anything else is not read"},
	{"test_empty", SeverityWarning, "a test file that tests nothing", "a test is a rule whose name begins with test_"},
	{"test_name", SeverityWarning, "a rule that looks like a test and is not one", "begin its name with test_"},
	{"test_package", SeverityWarning, "a test file whose package belongs to no rule package", "name it package reconcile.rules.<name>_test"},
	{"test_without_input", SeverityWarning, "a test asks a set of its package and gives no input, so it asks about nobody", "add `with input as …`"},
	{"test_refers_nothing", SeverityWarning, "a test file that refers to no rule of its package", "import the package and query its sets"},
	{"test_unknown_fact", SeverityWarning, "a test sets a fact that does not exist", "`hermes-reconcile schema input` lists the facts"},
}
