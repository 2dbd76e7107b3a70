//! Tables, JSON and YAML: the three shapes in which a list is printed.

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

/// How a list is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    #[value(alias = "list")]
    Table,
    Json,
    Yaml,
}

/// Items as a table with the given columns, or all their fields as JSON or YAML.
pub(crate) fn render<T: Serialize>(
    format: Format,
    items: &[T],
    columns: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<String> {
    match format {
        Format::Table => Ok(table(columns, &items.iter().map(row).collect::<Vec<_>>())),
        Format::Json => {
            let text = serde_json::to_string_pretty(items).context("cannot write JSON")?;
            Ok(text + "\n")
        }
        Format::Yaml => serde_saphyr::to_string(&items).context("cannot write YAML"),
    }
}

/// A table without borders; columns that are empty in all rows are left out.
fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let layout = Layout::of(columns, rows, false);
    let lines = rows.iter().map(|row| layout.line(row));
    layout.header(columns) + &lines.collect::<String>()
}

/// Which columns a table has, and how wide they are.
pub(crate) struct Layout(Vec<(usize, usize)>);

impl Layout {
    /// Fits the columns to the rows; those that are empty are left out unless `keep_empty`.
    pub(crate) fn of(columns: &[&str], rows: &[Vec<String>], keep_empty: bool) -> Self {
        let width = |index: usize| {
            let widest = rows.iter().map(|row| row[index].width()).max();
            widest.filter(|widest| *widest > 0 || keep_empty)
        };
        let fitted = columns.iter().enumerate().filter_map(|(index, name)| {
            let widest = width(index)?;
            Some((index, widest.max(header(name).width())))
        });
        Self(fitted.collect())
    }

    pub(crate) fn header(&self, columns: &[&str]) -> String {
        let names: Vec<String> = columns.iter().map(|name| header(name)).collect();
        self.line(&names)
    }

    /// One row with its end of line. What it contains can neither break the line nor reach the
    /// terminal as a command.
    pub(crate) fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for &(index, width) in &self.0 {
            let cell = row[index].replace(char::is_control, "\u{fffd}");
            let space = width.saturating_sub(cell.width());
            line.push_str("  ");
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(' ', space));
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    }
}

fn header(name: &str) -> String {
    name.to_uppercase().replace(['_', '.'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_columns_are_dropped_and_the_rest_is_aligned() {
        let rows = [
            vec!["orders".to_owned(), String::new(), "3500".to_owned()],
            vec!["a".to_owned(), String::new(), "50001".to_owned()],
        ];
        assert_eq!(
            table(&["APP ID", "COMMAND", "RUN_TEMPLATE_PATH"], &rows),
            "  APP ID  RUN TEMPLATE PATH\n  orders  3500\n  a       50001\n"
        );
    }

    #[test]
    fn a_cell_is_one_line_of_plain_text() {
        let rows = [
            vec!["文".to_owned(), "1".to_owned()],
            vec!["a\n\u{1b}[31mb".to_owned(), "2".to_owned()],
        ];
        assert_eq!(
            table(&["N", "M"], &rows),
            "  N         M\n  文        1\n  a\u{fffd}\u{fffd}[31mb  2\n"
        );
    }

    #[test]
    fn json_and_yaml_carry_all_fields() {
        #[derive(Serialize)]
        struct Item {
            #[serde(rename = "appId")]
            app_id: &'static str,
            port: u16,
        }
        let items = [Item {
            app_id: "a",
            port: 1,
        }];
        let text = |format| render(format, &items, &[], |_| vec![]).expect("renders");
        assert_eq!(
            text(Format::Json),
            "[\n  {\n    \"appId\": \"a\",\n    \"port\": 1\n  }\n]\n"
        );
        assert_eq!(text(Format::Yaml), "- appId: a\n  port: 1\n");
    }
}
