//! Process shell: flags, logs, metrics, health, signals, tasks.
