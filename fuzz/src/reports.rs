//! What sidecars tell placement.

/// A message of a sidecar: what passes is in the table as it came.
pub fn reports(data: &[u8]) {
    let Ok((host, order)) = placement::fuzzing::table(data) else {
        return;
    };
    let tables = order.tables.expect("an update has tables");
    for (kind, table) in &tables.entries {
        assert!(host.entities.contains(kind), "nobody reported {kind:?}");
        assert_eq!(table.load_map.len(), 1);
        let known = &table.load_map[&host.name];
        assert!(known.entities.is_sorted());
        let mut entities = host.entities.clone();
        entities.sort_unstable();
        assert_eq!(known.entities, entities);
        assert_eq!((&known.id, &known.namespace), (&host.id, &host.namespace));
        assert_eq!((&known.name, known.port), (&host.name, host.port));
        // The workflow engine's types are their own app's.
        let own = format!("dapr.internal.{}.{}", host.namespace, host.id);
        let below = kind
            .strip_prefix(&own)
            .is_some_and(|r| r.is_empty() || r.starts_with('.'));
        assert!(
            !kind.starts_with("dapr.internal.") || below,
            "{kind} is another app's"
        );
    }
    let missing = host
        .entities
        .iter()
        .find(|e| !tables.entries.contains_key(*e));
    assert_eq!(missing, None);
}
