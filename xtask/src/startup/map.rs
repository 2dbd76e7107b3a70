//! lld's map of a program: which function lies where.

use anyhow::ensure;

/// The line that a map of lld begins with, its columns apart by one space.
pub(super) const HEAD: &str = "VMA LMA Size Align Out In Symbol";

/// A section of the program's input that holds one function.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    pub(super) address: u64,
    pub(super) size: u64,
    /// The section's name: `.text.` or `.text.unlikely.` and the mangled name.
    pub(super) section: &'a str,
}

/// The functions of a map, sorted by address.
pub(super) fn functions(map: &str) -> anyhow::Result<Vec<Function<'_>>> {
    let head = map.lines().next().unwrap_or_default();
    let columns: Vec<_> = head.split_whitespace().collect();
    ensure!(
        columns.join(" ") == HEAD,
        "the linker's map is not one of lld; have Rust link with lld, for example by \
         RUSTFLAGS=-Clink-arg=-fuse-ld=lld"
    );
    let mut functions: Vec<_> = map.lines().filter_map(function).collect();
    functions.sort_by_key(|function| function.address);
    Ok(functions)
}

/// Reads `1000 1000 2a 16         file.o:(.text.name)`; all other lines are none of a function.
fn function(line: &str) -> Option<Function<'_>> {
    let (_, section) = line.strip_suffix(')')?.rsplit_once(":(")?;
    // What an object has in the bare `.text` is assembly, which nothing can take apart.
    section.strip_prefix(".text.")?;
    let mut columns = line.split_whitespace();
    let mut number = || u64::from_str_radix(columns.next()?, 16).ok();
    let (address, _, size) = (number()?, number()?, number()?);
    Some(Function {
        address,
        size,
        section,
    })
}

/// The index of the function that has this address.
pub(super) fn find(functions: &[Function<'_>], address: u64) -> Option<usize> {
    let after = functions.partition_point(|function| function.address <= address);
    let index = after.checked_sub(1)?;
    (address < functions[index].address + functions[index].size).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
             VMA              LMA     Size Align Out     In      Symbol
             2e0              2e0       1c     1 .interp
            7000             7000       20     4         a.o:(.rodata.first)
            8000             8000       40    16 .text
            8000             8000       22    16         Scrt1.o:(.text)
            8000             8000       22     1                 _start
            8030             8030       10    16         b.o:(.text._ZN1b4last17h0123456789abcdefE)
            8030             8030       10     1                 b::last
            8024             8024        0     4         lib.rlib(c.o):(.text.empty)
            8024             8024        5     4         lib.rlib(c.o):(.text.unlikely.cold)
";

    #[test]
    fn functions_are_the_named_sections_of_text() {
        let functions = functions(MAP).unwrap();
        let seen: Vec<_> = functions
            .iter()
            .map(|f| (f.address, f.size, f.section))
            .collect();
        assert_eq!(
            seen,
            [
                (0x8024, 0, ".text.empty"),
                (0x8024, 5, ".text.unlikely.cold"),
                (0x8030, 16, ".text._ZN1b4last17h0123456789abcdefE"),
            ]
        );
    }

    #[test]
    fn an_address_belongs_to_the_function_around_it() {
        let functions = functions(MAP).unwrap();
        for (address, expected) in [
            (0x8000, None),
            (0x8024, Some(1)),
            (0x8028, Some(1)),
            (0x8029, None),
            (0x8030, Some(2)),
            (0x803f, Some(2)),
            (0x8040, None),
        ] {
            assert_eq!(find(&functions, address), expected, "{address:x}");
        }
    }

    #[test]
    fn the_map_of_another_linker_is_refused() {
        for map in ["", "Archive member included to satisfy reference\n"] {
            let error = functions(map).unwrap_err().to_string();
            assert!(error.contains("not one of lld"), "{error}");
        }
    }
}
