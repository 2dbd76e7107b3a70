//! Every component that this build links, in one explicit list.
