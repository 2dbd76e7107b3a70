//! Writes crds/ from the structs of the resources.

use anyhow::Context;

use crate::docs::put_or_check;

const HEAD: &str = "# Generated from the structs of crates/resources: run `make docs`.\n";

/// Writes a file for each definition, or with `check` fails when one is out of date.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    for definition in resources::crd::definitions() {
        let name = definition["metadata"]["name"]
            .as_str()
            .context("a definition has no name")?;
        let plural = name.trim_end_matches(".dapr.io");
        let yaml = serde_saphyr::to_string(&definition)?;
        put_or_check(
            &format!("crds/{plural}.yaml"),
            &format!("{HEAD}{yaml}"),
            check,
        )?;
    }
    Ok(())
}
