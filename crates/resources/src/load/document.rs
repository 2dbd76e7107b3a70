//! Splits a file into documents and decodes each on its own.

use std::path::Path;

use serde::Deserialize;
use serde_saphyr::options::AliasLimits;
use serde_saphyr::{Budget, Error, Options};

use super::{Cause, Loaded, Located, MAX_DOCUMENT, MAX_DOCUMENTS, Problem};
use crate::{Kind, Resource, lenient};

/// Decodes all documents of a YAML or JSON file. Documents of a type that Dapr
/// does not know are left out without a word; every fault becomes a problem.
pub fn parse_documents(bytes: &[u8], file_name: impl AsRef<Path>) -> Loaded {
    let file = file_name.as_ref();
    let mut loaded = Loaded::default();
    let text = match text_of(bytes) {
        Ok(text) => text,
        Err(fault) => {
            loaded
                .problems
                .push(Problem::of_file(file, Cause::Malformed(fault)));
            return loaded;
        }
    };
    for (index, document) in split(text).enumerate() {
        if index == MAX_DOCUMENTS {
            let fault = format!("it has more than {MAX_DOCUMENTS} documents; split it");
            loaded
                .problems
                .push(Problem::of_file(file, Cause::Malformed(fault)));
            break;
        }
        match decode(&document) {
            Ok(Some(resource)) => {
                let (file, line) = (file.to_owned(), document.first_line);
                loaded.resources.push(Located {
                    resource,
                    file,
                    line,
                    document: index,
                });
            }
            Ok(None) => {}
            Err(fault) => loaded.problems.push(Problem {
                file: file.to_owned(),
                line: fault.line.max(document.first_line),
                kind: fault.kind,
                name: fault.name,
                cause: fault.cause,
            }),
        }
    }
    loaded
}

pub(super) fn text_of(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        format!(
            "byte {} is not UTF-8; save the file as UTF-8",
            e.valid_up_to() + 1
        )
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

pub(super) struct Document<'a> {
    pub(super) text: &'a str,
    /// From 1.
    pub(super) first_line: usize,
}

/// Cuts at lines that begin with `---`, whose rest is dropped, and leaves out
/// documents without content.
pub(super) fn split(text: &str) -> impl Iterator<Item = Document<'_>> {
    let mut rest = Some(text);
    let mut line = 1;
    let documents = std::iter::from_fn(move || {
        let current = rest?;
        let first_line = line;
        let mut end = 0;
        for part in current.split_inclusive('\n') {
            line += 1;
            if part.starts_with("---") {
                rest = Some(&current[end + part.len()..]);
                return Some(Document {
                    text: &current[..end],
                    first_line,
                });
            }
            end += part.len();
        }
        rest = None;
        Some(Document {
            text: current,
            first_line,
        })
    });
    documents.filter(|d| {
        let blank =
            |l: &str| l.trim().is_empty() || l.trim_start().starts_with('#') || l.starts_with('%');
        !d.text.lines().all(blank)
    })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Head {
    api_version: String,
    kind: String,
    metadata: HeadMeta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HeadMeta {
    name: String,
}

struct Fault {
    line: usize,
    kind: Option<Kind>,
    name: String,
    cause: Cause,
}

fn decode(document: &Document<'_>) -> Result<Option<Resource>, Fault> {
    let malformed = |kind, name: &str, (line, text): (usize, String)| Fault {
        line,
        kind,
        name: name.to_owned(),
        cause: Cause::Malformed(text),
    };
    if document.text.len() >= MAX_DOCUMENT {
        let text = format!(
            "the document is larger than {} KiB; split it",
            MAX_DOCUMENT >> 10
        );
        return Err(malformed(None, "", (document.first_line, text)));
    }
    let head: Head =
        read_yaml(document, |d| lenient::decode(d)).map_err(|e| malformed(None, "", e))?;
    let Some(kind) = Kind::of(&head.api_version, &head.kind) else {
        return Ok(None);
    };
    let name = head.metadata.name.as_str();
    let resource = read_yaml(document, |d| Resource::decode(kind, &head.api_version, d))
        .map_err(|e| malformed(Some(kind), name, e))?;
    match resource.validate() {
        Ok(()) => Ok(Some(resource)),
        Err(text) => Err(Fault {
            line: document.first_line,
            kind: Some(kind),
            name: name.to_owned(),
            cause: Cause::Invalid(text),
        }),
    }
}

/// Runs a decoder over one document; the error is a line of the file and a text.
pub(super) fn read_yaml<T>(
    document: &Document<'_>,
    decoder: impl FnOnce(serde_saphyr::Deserializer<'_, '_>) -> Result<T, Error>,
) -> Result<T, (usize, String)> {
    serde_saphyr::with_deserializer_from_str_with_options(document.text, options(), decoder)
        .map_err(|e| {
            let line = e
                .location()
                .map_or(0, |l| usize::try_from(l.line()).unwrap_or(0));
            (
                document.first_line + line.saturating_sub(1),
                without_values(&plain_text(&e)),
            )
        })
}

fn options() -> Options {
    let mut budget = Budget::default();
    budget.max_depth = 64;
    budget.flow_nesting_limit = 64;
    budget.max_nodes = MAX_DOCUMENT;
    budget.max_events = 4 * MAX_DOCUMENT;
    budget.max_aliases = 1_000;
    budget.max_anchors = 1_000;
    budget.max_total_scalar_bytes = 4 * MAX_DOCUMENT;
    let mut aliases = AliasLimits::default();
    aliases.max_total_replayed_events = 10_000;
    aliases.max_alias_expansions_per_anchor = 1_000;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.alias_limits = aliases;
    // A snippet would show values in a log.
    options.with_snippet = false;
    // YAML 1.1, which upstream's parser reads.
    options.legacy_octal_numbers = true;
    options.strict_booleans = false;
    options.non_finite_float_policy = serde_saphyr::NonFiniteFloatPolicy::AsString;
    options
}

/// The parser's message without its own place, which counts from the document's start.
fn plain_text(error: &Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    let place = [" at line ", " (line "]
        .iter()
        .filter_map(|p| first.rfind(p))
        .min();
    place.map_or(first, |at| &first[..at]).to_owned()
}

/// Serde quotes the value it did not expect, which may be a secret.
fn without_values(text: &str) -> String {
    let mut result = text.to_owned();
    for (open, close) in [("\"", '"'), ("`", '`')] {
        for what in [
            "string",
            "integer",
            "floating point",
            "boolean",
            "character",
        ] {
            let mark = format!("{what} {open}");
            let Some(start) = result.find(&mark) else {
                continue;
            };
            let value = start + mark.len();
            let end = result[value..]
                .rfind(close)
                .map_or(result.len(), |e| value + e + 1);
            // The expectation behind the value may be quoted as well.
            let end = result[value..end]
                .find(", expected")
                .map_or(end, |e| value + e);
            result.replace_range(start + what.len()..end, "");
        }
    }
    result
}
