//! The linker script with the functions that run at start.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use super::map::Function;

/// How the sections of what ran are named, sorted.
///
/// A name contains a hash that follows from the compiler and from versions. It becomes `*`, so
/// that the line outlives these, unless that would bring in much that did not run: instances of
/// one generic function differ in nothing else.
pub(super) fn names(functions: &[Function<'_>], ran: &[bool]) -> Vec<String> {
    // Bytes of what has the name without its hash: all, and those that ran.
    let mut sizes: HashMap<String, (u64, u64)> = HashMap::new();
    for (function, ran) in functions.iter().zip(ran) {
        if let Some(pattern) = pattern(function.section) {
            let (all, started) = sizes.entry(pattern).or_default();
            *all += function.size;
            *started += if *ran { function.size } else { 0 };
        }
    }
    let mut names = BTreeSet::new();
    for (function, _) in functions.iter().zip(ran).filter(|(_, ran)| **ran) {
        let pattern = pattern(function.section).filter(|pattern| {
            let (all, started) = sizes[pattern];
            all <= 2 * started + 2000
        });
        names.insert(pattern.unwrap_or_else(|| function.section.to_owned()));
    }
    names.into_iter().collect()
}

/// The name with `*` for its hash and for what follows: `17h`, 16 digits, `E` and often
/// `.llvm.` with a number. The newer mangling of the standard library has no such end.
fn pattern(section: &str) -> Option<String> {
    const HASH: &str = "17h";
    let (at, _) = section.rmatch_indices(HASH).find(|(at, _)| {
        let rest = &section.as_bytes()[at + HASH.len()..];
        rest.len() > 16
            && rest[..16].iter().all(u8::is_ascii_hexdigit)
            && (&rest[16..] == b"E" || rest[16..].starts_with(b"E."))
    })?;
    Some(format!("{}*", &section[..at + HASH.len()]))
}

/// The script for sections of these names.
pub(super) fn render(program: &str, names: &[String]) -> String {
    let mut script = format!(
        "/* The functions that {program} runs at start. The linker puts them side by side, so that\n   \
         an idle {program} keeps less of its file in memory. Written by `make startup`, which\n   \
         traces a start; a line that nothing fits any more does no harm. */\n\
         SECTIONS\n{{\n  .text.startup :\n  {{\n"
    );
    for name in names {
        // Writing to a String cannot fail.
        let _ = writeln!(script, "    *({name})");
    }
    // Other than a whole script, this one is added to the linker's own.
    script.push_str("  }\n}\nINSERT BEFORE .text;\n");
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_and_what_follows_become_a_star() {
        for (section, expected) in [
            (
                ".text._ZN1a1b17h0123456789abcdefE",
                Some(".text._ZN1a1b17h*"),
            ),
            (
                ".text.unlikely._ZN1a17h0123456789abcdefE.llvm.123",
                Some(".text.unlikely._ZN1a17h*"),
            ),
            // A word of 17 letters that begins with an h is no hash.
            (
                ".text._ZN17hello_world_abcde1b17h0123456789abcdefE",
                Some(".text._ZN17hello_world_abcde1b17h*"),
            ),
            (".text._ZN1a17hello_world_abcdeE", None),
            (".text._RNvCs1234_3std4main.llvm.123", None),
            (".text.sqlite3_open", None),
        ] {
            assert_eq!(pattern(section).as_deref(), expected, "{section}");
        }
    }

    /// Instances of `_ZN1a`, each with its size and whether it ran.
    #[track_caller]
    fn check(instances: &[(u64, bool)], expected: &[&str]) {
        let sections: Vec<_> = (0..instances.len())
            .map(|number| format!(".text._ZN1a17h{number:016x}E"))
            .collect();
        let functions: Vec<_> = sections
            .iter()
            .zip(instances)
            .map(|(section, (size, _))| Function {
                address: 0,
                size: *size,
                section,
            })
            .collect();
        let ran: Vec<_> = instances.iter().map(|(_, ran)| *ran).collect();
        assert_eq!(names(&functions, &ran), expected);
    }

    #[test]
    fn a_wildcard_may_bring_in_as_much_again_and_a_little() {
        let all = [".text._ZN1a17h*"];
        let first = [".text._ZN1a17h0000000000000000E"];
        check(&[(5000, true)], &all);
        check(&[(5000, true), (7000, false)], &all);
        check(&[(5000, true), (7001, false)], &first);
        check(&[(10, true), (2010, false)], &all);
        check(&[(10, true), (2011, false)], &first);
        check(&[(5000, false)], &[]);
    }

    #[test]
    fn names_without_a_hash_stay_as_they_are_and_all_are_sorted() {
        let sections = [".text.b", ".text._RNvC1a1a", ".text.unlikely.c", ".text.a"];
        let functions = sections.map(|section| Function {
            address: 0,
            size: 9000,
            section,
        });
        assert_eq!(
            names(&functions, &[true, true, true, false]),
            [".text._RNvC1a1a", ".text.b", ".text.unlikely.c"]
        );
    }

    #[test]
    fn the_script_adds_one_section_to_the_linkers_own() {
        let names = [".text.a".to_owned(), ".text._ZN1b17h*".to_owned()];
        let script = render("sentry", &names);
        assert!(script.starts_with("/* The functions that sentry runs at start."));
        let end = "SECTIONS\n{\n  .text.startup :\n  {\n    *(.text.a)\n    *(.text._ZN1b17h*)\n  \
                   }\n}\nINSERT BEFORE .text;\n";
        assert!(script.ends_with(end), "{script}");
    }
}
