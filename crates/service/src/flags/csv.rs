//! One record of comma-separated values, as Go's `encoding/csv` reads it.

use super::value::Error;

/// The fields of the first line; a field in double quotes may hold commas,
/// line breaks and doubled quotes.
pub(super) fn record(text: &str) -> Result<Vec<String>, Error> {
    let text = text.trim_start_matches(['\r', '\n']);
    let mut fields = Vec::new();
    if text.is_empty() {
        return Ok(fields);
    }
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(inside) => quoted(text, inside)?,
            None => bare(text, rest)?,
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

fn bare<'a>(text: &str, rest: &'a str) -> Result<(String, &'a str), Error> {
    let end = rest.find([',', '\n']).unwrap_or(rest.len());
    let (field, after) = rest.split_at(end);
    if let Some(at) = field.find('"') {
        return Err(fail(text, &rest[at..], "bare \" in non-quoted-field"));
    }
    let field = if after.starts_with(',') {
        field
    } else {
        field.strip_suffix('\r').unwrap_or(field)
    };
    Ok((field.to_owned(), after))
}

fn quoted<'a>(text: &str, mut rest: &'a str) -> Result<(String, &'a str), Error> {
    let mut field = String::new();
    loop {
        let Some(end) = rest.find('"') else {
            return Err(fail(text, "", "extraneous or missing \" in quoted-field"));
        };
        field.push_str(&rest[..end]);
        let after = &rest[end + 1..];
        match after.bytes().next() {
            Some(b'"') => {
                field.push('"');
                rest = &after[1..];
            }
            None | Some(b',' | b'\n') => return Ok((field, after)),
            Some(b'\r') if after[1..].is_empty() || after[1..].starts_with('\n') => {
                return Ok((field, ""));
            }
            Some(_) => {
                return Err(fail(
                    text,
                    &rest[end..],
                    "extraneous or missing \" in quoted-field",
                ));
            }
        }
    }
}

fn fail(text: &str, rest: &str, reason: &str) -> Error {
    let before = &text[..text.len() - rest.len()];
    let line = before.matches('\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
    let start = if line > 1 { "record on line 1; " } else { "" };
    Error {
        text: format!("{start}parse error on line {line}, column {column}: {reason}"),
        range: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[&str], &str>) {
        match (record(text), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text:?}"),
            (Err(got), Err(expected)) => assert_eq!(got.text, expected, "{text:?}"),
            (got, _) => panic!("{text:?} gave {:?}", got.map_err(|e| e.text)),
        }
    }

    #[test]
    fn fields_and_quotes() {
        check("", Ok(&[]));
        check("a", Ok(&["a"]));
        check("a,b,,c", Ok(&["a", "b", "", "c"]));
        check(" a , b", Ok(&[" a ", " b"]));
        check(r#""a,b",c"#, Ok(&["a,b", "c"]));
        check(r#""say ""hi""""#, Ok(&[r#"say "hi""#]));
        check("a,b\nc", Ok(&["a", "b"]));
        check("a,", Ok(&["a", ""]));
        check("a\r\n", Ok(&["a"]));
        check("\"a\"\r\n", Ok(&["a"]));
    }

    #[test]
    fn errors_name_the_place() {
        check(
            "a\"b",
            Err("parse error on line 1, column 2: bare \" in non-quoted-field"),
        );
        check(
            "\"a\"b",
            Err("parse error on line 1, column 3: extraneous or missing \" in quoted-field"),
        );
        check(
            "\"a",
            Err("parse error on line 1, column 3: extraneous or missing \" in quoted-field"),
        );
    }
}
