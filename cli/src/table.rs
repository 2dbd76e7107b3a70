//! Tables, JSON and YAML: the three shapes in which a list is printed.

use anyhow::{Context, Result};
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

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
    let shown: Vec<usize> = (0..columns.len())
        .filter(|&index| rows.iter().any(|row| !row[index].is_empty()))
        .collect();
    let pick = |row: &[String]| {
        shown
            .iter()
            .map(|&index| row[index].clone())
            .collect::<Vec<_>>()
    };
    let headers: Vec<String> = columns.iter().map(|name| header(name)).collect();
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(pick(&headers));
    for row in rows {
        table.add_row(pick(row));
    }
    table.column_iter_mut().for_each(|column| {
        column.set_padding((2, 0));
    });
    format!("{}\n", table.trim_fmt())
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
