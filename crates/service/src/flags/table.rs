//! The declarative table of a process's flags.

use std::borrow::Cow;

/// What a flag's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    Tristate,
    Int,
    Uint { bits: u32 },
    Duration,
    List,
}

/// How dashes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dashes {
    /// Arguments of three or more bytes with one leading dash get a second one
    /// first, values included (daprd, injector, placement, sentry).
    Doubling,
    /// One dash begins a group of one-letter flags, of which there are none
    /// (scheduler).
    Strict,
    /// One and two dashes are the same, and the first argument that is not a
    /// flag ends them (operator).
    Go,
}

/// One flag: name, kind, default and help.
#[derive(Clone, Debug)]
pub struct Flag {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Cow<'static, str>,
    pub(super) help: &'static str,
    pub(super) env: Option<&'static str>,
    pub(super) deprecated: Option<&'static str>,
    pub(super) hidden: bool,
    pub(super) ignored: bool,
}

impl Flag {
    fn new(name: &'static str, kind: Kind, default: Cow<'static, str>, help: &'static str) -> Self {
        Self {
            name,
            kind,
            default,
            help,
            env: None,
            deprecated: None,
            hidden: false,
            ignored: false,
        }
    }

    /// A flag with any text.
    pub fn string(
        name: &'static str,
        default: impl Into<Cow<'static, str>>,
        help: &'static str,
    ) -> Self {
        Self::new(name, Kind::Text, default.into(), help)
    }

    /// A switch; alone it means true, and it never takes the next argument.
    pub fn bool(name: &'static str, default: bool, help: &'static str) -> Self {
        Self::new(name, Kind::Bool, default.to_string().into(), help)
    }

    /// A switch that can also be left unset.
    pub fn tristate(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Tristate, "".into(), help)
    }

    /// A signed 64-bit number.
    pub fn int(name: &'static str, default: i64, help: &'static str) -> Self {
        Self::new(name, Kind::Int, default.to_string().into(), help)
    }

    /// An unsigned 64-bit number.
    pub fn uint(name: &'static str, default: u64, help: &'static str) -> Self {
        Self::new(
            name,
            Kind::Uint { bits: 64 },
            default.to_string().into(),
            help,
        )
    }

    /// An unsigned 32-bit number.
    pub fn uint32(name: &'static str, default: u32, help: &'static str) -> Self {
        Self::new(
            name,
            Kind::Uint { bits: 32 },
            default.to_string().into(),
            help,
        )
    }

    /// A duration in Go's form; an empty default is zero.
    pub fn duration(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Duration, default.into(), help)
    }

    /// A comma-separated list that may also be repeated; the first use
    /// replaces the default.
    pub fn strings(
        name: &'static str,
        default: impl Into<Cow<'static, str>>,
        help: &'static str,
    ) -> Self {
        Self::new(name, Kind::List, default.into(), help)
    }

    /// Takes the value from this environment variable when the flag is not
    /// given and the variable is not empty.
    pub fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }

    /// Leaves the flag out of the help, and answers its use with a notice.
    pub fn deprecated(mut self, message: &'static str) -> Self {
        self.deprecated = Some(message);
        self
    }

    /// Leaves the flag out of the help.
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Says in the help that the flag is accepted for compatibility only.
    pub fn ignored(mut self) -> Self {
        self.ignored = true;
        self
    }

    /// The name without dashes.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The kind as help texts call it.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Text => "string",
            Kind::Bool => "bool",
            Kind::Tristate => "tristate",
            Kind::Int => "int",
            Kind::Uint { bits: 32 } => "uint32",
            Kind::Uint { .. } => "uint",
            Kind::Duration => "duration",
            Kind::List => "strings",
        }
    }

    /// The default as it would be written on the command line.
    pub fn default_value(&self) -> &str {
        &self.default
    }

    pub(super) fn is_switch(&self) -> bool {
        matches!(self.kind, Kind::Bool | Kind::Tristate)
    }
}

/// The flags of one process, in groups as the help shows them.
#[derive(Clone, Debug)]
pub struct FlagSet {
    pub(super) program: &'static str,
    pub(super) about: &'static str,
    pub(super) dashes: Dashes,
    pub(super) groups: Vec<Group>,
    pub(super) examples: Vec<(&'static str, &'static str)>,
    pub(super) versioned: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) flags: Vec<Flag>,
}

impl FlagSet {
    /// An empty table for a program that one line describes.
    pub fn new(program: &'static str, about: &'static str) -> Self {
        Self {
            program,
            about,
            dashes: Dashes::Doubling,
            groups: Vec::new(),
            examples: Vec::new(),
            versioned: false,
        }
    }

    /// Chooses how dashes are read; doubling unless chosen.
    pub fn dashes(mut self, dashes: Dashes) -> Self {
        self.dashes = dashes;
        self
    }

    /// Starts a group; the flags that follow stand under its title.
    pub fn group(mut self, title: &'static str) -> Self {
        self.groups.push(Group {
            title,
            flags: Vec::new(),
        });
        self
    }

    /// Adds a flag to the last group.
    pub fn flag(mut self, flag: Flag) -> Self {
        debug_assert!(
            self.find(flag.name).is_none(),
            "flag {} is declared twice",
            flag.name
        );
        if self.groups.is_empty() {
            self = self.group("Flags");
        }
        if let Some(group) = self.groups.last_mut() {
            group.flags.push(flag);
        }
        self
    }

    /// Adds several flags to the last group.
    pub fn flags(self, flags: impl IntoIterator<Item = Flag>) -> Self {
        flags.into_iter().fold(self, Self::flag)
    }

    /// Adds `--version` and `--build-info`, which [`FlagSet::parse`] answers.
    pub fn versioned(mut self) -> Self {
        self.versioned = true;
        self.flag(Flag::bool("version", false, "print the version and exit"))
            .flag(Flag::bool(
                "build-info",
                false,
                "print what this binary was built from and exit",
            ))
    }

    /// Adds an example that the help shows last.
    pub fn example(mut self, what: &'static str, command: &'static str) -> Self {
        self.examples.push((what, command));
        self
    }

    /// All flags in order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = &Flag> {
        self.groups.iter().flat_map(|group| &group.flags)
    }

    pub(super) fn find(&self, name: &str) -> Option<&Flag> {
        self.iter().find(|flag| flag.name == name)
    }
}
