//! The flags in the command line of a process, as daprd reads them.

use std::collections::HashMap;

/// Values by flag name, in the order given; a flag without a value has an empty one.
#[derive(Debug, Default)]
pub(crate) struct Flags(HashMap<String, Vec<String>>);

impl Flags {
    /// Reads `--flag value`, `--flag=value`, `--flag` and the same with one dash; what belongs
    /// to no flag is passed over.
    pub(crate) fn parse<S: AsRef<str>>(arguments: &[S]) -> Self {
        let mut flags = Self::default();
        let mut rest = arguments.iter().map(AsRef::as_ref).peekable();
        while let Some(argument) = rest.next() {
            let Some(name) = flag_name(argument) else {
                continue;
            };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (
                    name,
                    rest.next_if(|next| flag_name(next).is_none())
                        .unwrap_or_default()
                        .to_owned(),
                ),
            };
            flags.0.entry(name.to_owned()).or_default().push(value);
        }
        flags
    }

    /// The last value, or an empty text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0
            .get(name)
            .and_then(|values| values.last())
            .map_or("", String::as_str)
    }

    /// All values.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The last value as a number, or the default when it is missing or not one.
    pub(crate) fn number(&self, name: &str, default: i64) -> i64 {
        self.text(name).parse().unwrap_or(default)
    }

    /// A boolean flag: given alone or with a value that means yes.
    pub(crate) fn is_on(&self, name: &str, default: bool) -> bool {
        match self.0.get(name).and_then(|values| values.last()) {
            None => default,
            Some(value) => matches!(
                value.as_str(),
                "" | "1" | "t" | "T" | "true" | "TRUE" | "True"
            ),
        }
    }
}

/// The name in `--name` or `-name`; a negative number is a value.
fn flag_name(argument: &str) -> Option<&str> {
    let name = argument.strip_prefix("--").or_else(|| {
        argument
            .strip_prefix('-')
            .filter(|name| name.len() > 1 && name.parse::<f64>().is_err())
    })?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_flag_is_read() {
        let line = "/bin/daprd --app-id orders --app-port=3000 -dapr-http-port 3501 \
                    --enable-profiling --app-max-concurrency -1 --resources-path a \
                    --resources-path b --enable-metrics=false";
        let flags = Flags::parse(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(flags.text("app-id"), "orders");
        assert_eq!(flags.number("app-port", 0), 3000);
        assert_eq!(flags.number("dapr-http-port", 3500), 3501);
        assert_eq!(flags.number("dapr-grpc-port", 50001), 50001);
        assert_eq!(flags.number("app-max-concurrency", 0), -1);
        assert_eq!(flags.all("resources-path"), ["a", "b"]);
        assert!(flags.is_on("enable-profiling", false));
        assert!(!flags.is_on("enable-metrics", true));
        assert!(flags.is_on("unknown", true));
    }

    #[test]
    fn an_empty_value_stays_empty() {
        let flags = Flags::parse(&["daprd", "--placement-host-address", "", "--app-id", "a"]);
        assert_eq!(flags.text("placement-host-address"), "");
        assert_eq!(flags.text("app-id"), "a");
    }
}
