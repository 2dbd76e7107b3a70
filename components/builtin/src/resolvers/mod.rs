//! Name resolvers that need no SDK.

mod dns;
mod mdns;
mod nameformat;
mod structured;
mod template;
#[cfg(test)]
mod tests;

use component::{Descriptor, Registry, Status};

pub(crate) fn register(registry: &mut Registry) {
    registry.resolver::<mdns::Mdns>(Descriptor {
        tested_with: "several instances over the machine's interfaces",
        ..Descriptor::new("mdns", "mDNS")
    });
    registry.resolver::<dns::Kubernetes>(Descriptor {
        tested_with: "the machine's own name lookup",
        ..Descriptor::new("kubernetes", "Kubernetes")
    });
    registry.resolver::<nameformat::NameFormat>(Descriptor {
        status: Status::Alpha,
        ..Descriptor::new("nameformat", "Name Format")
    });
    registry.resolver::<structured::Structured>(Descriptor {
        status: Status::Alpha,
        aliases: &["structured"],
        ..Descriptor::new("structuredformat", "Structured Format")
    });
}
