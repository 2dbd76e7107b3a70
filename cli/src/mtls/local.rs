//! The authority of this machine, which the Sentries of `dapr run --mtls` sign with.

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::{
    authority::{Authority, FILES, LOCAL, Store, date, read_file},
    instances,
    output::Report,
};

use super::renew;

pub(super) async fn status(store: &Store, report: Report) -> Result<()> {
    let running = instances::all().await?;
    let (with, without): (Vec<_>, Vec<_>) = running.iter().partition(|sidecar| sidecar.mtls);
    for (sidecars, state) in [(with, "enabled"), (without, "disabled")] {
        if !sidecars.is_empty() {
            let ids: Vec<&str> = sidecars.iter().map(|s| s.app_id.as_str()).collect();
            report.info(format_args!("Mutual TLS is {state} for {}", ids.join(", ")));
        }
    }
    if running.is_empty() {
        report
            .info("No sidecar runs on this machine; `dapr run --mtls` starts one with mutual TLS");
    }
    match store.load()? {
        Some(authority) => report.info(format_args!(
            "The certificates in {} are valid until {}",
            store.folder().display(),
            date(authority.ends())
        )),
        None => report.info(format_args!(
            "There are no certificates in {} yet; the first `dapr run --mtls` makes them",
            store.folder().display()
        )),
    }
    Ok(())
}

/// What the three files hold.
pub(super) fn texts(store: &Store) -> Result<[Vec<u8>; 3]> {
    present(store)?;
    let [root, issuer, key] = FILES.map(|name| {
        let from = store.folder().join(name);
        read_file(&from)?.with_context(|| format!("{} is gone", from.display()))
    });
    Ok([root?, issuer?, key?])
}

pub(super) fn present(store: &Store) -> Result<Authority> {
    store.load()?.with_context(|| {
        format!(
            "there are no certificates in {}; the first `dapr run --mtls` makes them",
            store.folder().display()
        )
    })
}

pub(super) async fn renew(args: &renew::Args, store: &Store, report: Report) -> Result<()> {
    report.pending("Starting certificate rotation");
    if args.restart {
        report.warning(
            "--restart has no effect on this machine: Sentry takes new certificates by itself",
        );
    }
    let lock = store.lock().await?;
    let earlier = store.load()?;
    let new = renew::make(args, LOCAL, earlier.as_ref(), Timestamp::now(), report)?;
    store.save(&lock, &new.authority)?;
    renew::tell(&new.authority, report);
    match earlier {
        None => {}
        Some(_) if new.bridged => report.info(
            "Nothing needs a restart: sidecars that run go on, and get new certificates in time",
        ),
        Some(_) => report.warning(
            "Restart what `dapr run --mtls` has started: sidecars that run know the earlier root \
             only and will refuse new certificates",
        ),
    }
    Ok(())
}
