//! The part of Go's text templates that an address needs: text, and the fields
//! of the request in double braces, whose dashes trim the text beside them.

use component::resolution::ResolveRequest;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Id,
    Namespace,
    Port,
    Data(String),
}

impl Template {
    /// The error says what is wrong and at which byte.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut at, mut trim) = (Vec::new(), 0, false);
        while let Some(open) = text[at..].find("{{").map(|found| at + found) {
            let inside = open + 2;
            let length = text[inside..]
                .find("}}")
                .ok_or_else(|| format!("unclosed action at byte {open}: add \"}}}}\""))?;
            let action = &text[inside..inside + length];
            let left = action
                .strip_prefix('-')
                .filter(|rest| rest.starts_with(char::is_whitespace));
            let mut before = &text[at..open];
            if trim {
                before = before.trim_start();
            }
            if left.is_some() {
                before = before.trim_end();
            }
            parts.push(Part::Text(before.to_owned()));
            let action = left.unwrap_or(action);
            let right = action
                .strip_suffix('-')
                .filter(|rest| rest.ends_with(char::is_whitespace));
            trim = right.is_some();
            let action = right.unwrap_or(action).trim();
            if !(action.starts_with("/*") && action.ends_with("*/") && action.len() >= 4) {
                parts.push(field(action).map_err(|e| format!("{e} at byte {open}"))?);
            }
            at = inside + length + 2;
        }
        let rest = &text[at..];
        let rest = if trim { rest.trim_start() } else { rest };
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    pub(crate) fn render(&self, req: &ResolveRequest) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Id => out.push_str(&req.id),
                Part::Namespace => out.push_str(&req.namespace),
                Part::Port => out.push_str(&req.port.to_string()),
                // Go's text for a key that the map does not have.
                Part::Data(key) => out.push_str(req.data.get(key).map_or("<no value>", |v| v)),
            }
        }
        out
    }
}

fn field(action: &str) -> Result<Part, String> {
    let names = action.strip_prefix('.').filter(|names| !names.is_empty());
    let names = names.ok_or_else(|| {
        format!("{action:?} is not a field: use .ID, .Namespace, .Port or .Data.<key>")
    })?;
    let is_word =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    match names.split_once('.') {
        None if names == "ID" => Ok(Part::Id),
        None if names == "Namespace" => Ok(Part::Namespace),
        None if names == "Port" => Ok(Part::Port),
        Some(("Data", key)) if is_word(key) => Ok(Part::Data(key.to_owned())),
        _ => Err(format!(
            "unknown field {action:?}: use .ID, .Namespace, .Port or .Data.<key>"
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> ResolveRequest {
        ResolveRequest {
            id: "app".into(),
            namespace: "ns".into(),
            port: 5000,
            data: [("zone".to_owned(), "z1".to_owned())].into(),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = Template::parse(text).map(|t| t.render(&request()));
        assert_eq!(
            got.unwrap_or_else(|e| format!("error: {e}")),
            expected,
            "{text}"
        );
    }

    #[test]
    fn templates() {
        check("", "");
        check("plain:1", "plain:1");
        check("{{.ID}}", "app");
        check(
            "{{ .ID }}-dapr.{{.Namespace}}:{{ .Port}}",
            "app-dapr.ns:5000",
        );
        check("{{.ID}}.{{.Data.zone}}.{{.Data.none}}", "app.z1.<no value>");
        check("a  {{- .ID -}}  :1", "aapp:1");
        check("a {{/* why */}}b", "a b");
        check("}} {", "}} {");
    }

    #[test]
    fn errors_name_the_place() {
        check("a{{.ID", "error: unclosed action at byte 1: add \"}}\"");
        let fields = "use .ID, .Namespace, .Port or .Data.<key>";
        check(
            "{{.Name}}",
            &format!("error: unknown field \".Name\": {fields} at byte 0"),
        );
        check(
            "ab {{ID}}",
            &format!("error: \"ID\" is not a field: {fields} at byte 3"),
        );
        check(
            "{{}}",
            &format!("error: \"\" is not a field: {fields} at byte 0"),
        );
        check(
            "{{.}}",
            &format!("error: \".\" is not a field: {fields} at byte 0"),
        );
        check(
            "{{.Data.}}",
            &format!("error: unknown field \".Data.\": {fields} at byte 0"),
        );
        check(
            "{{.ID | printf}}",
            &format!("error: unknown field \".ID | printf\": {fields} at byte 0"),
        );
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in "([{}./*-]|\\PC|ID| ){0,20}") {
            if let Ok(template) = Template::parse(&text) {
                template.render(&request());
            }
        }
    }
}
