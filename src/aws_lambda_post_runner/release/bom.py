"""Tells what a layer's zip is made of, as a CycloneDX bill of materials: the same bytes for the same zip."""

import uuid

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from aws_lambda_post_runner.dev.artefact import PRODUCT, Content, Part

from .artefacts import Layer, ReleaseError

_NAMESPACE = uuid.UUID("3d1f8c0e-6a51-5d0c-9a57-0a4c2d3b8e6f")
"""Of our bills' serial numbers; drawn once."""
_LICENCES = {
    "MIT": "MIT",
    "BSD-3-Clause": "BSD-3-Clause",
    "MIT OR Apache-2.0": "MIT OR Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "PSF-2.0": "PSF-2.0",
}
"""What parts call their licences, and what SPDX does. One that is not here is given in the part's own words."""


def bill_of(layer: Layer) -> str:
    """Return a layer's bill of materials as JSON of CycloneDX 1.6. Raises ReleaseError if it would not be valid."""
    content = layer.content
    ours = Component(
        name=PRODUCT,
        version=content.version,
        type=ComponentType.APPLICATION,
        bom_ref=f"{PRODUCT}@{content.version}",
        description=f"Lambda layer for {content.processor}, commit {content.commit}",
        licenses=[DisjunctiveLicense(id="MIT-0")],
        purl=PackageURL(
            "generic", name=PRODUCT, version=content.version, qualifiers={"arch": content.processor}
        ),
        hashes=[_sha256(content.sha256)],
    )
    parts = [_component_of(part) for part in content.parts]
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, content.sha256),
        metadata=BomMetaData(component=ours),
        components=[*parts, *map(_file, content.contents)],
    )
    # Without a time: a bill that is made again tomorrow, of the same zip, is the same bill.
    bom.metadata.timestamp = None  # type: ignore[assignment]  # the schema lets it be absent
    bom.register_dependency(ours, parts)
    text = JsonV1Dot6(bom).output_as_string(indent=2) + "\n"
    check_bill(text, layer.path.name)
    return text


def check_bill(text: str, name: str) -> None:
    """Raise ReleaseError if a bill of materials is not of CycloneDX's schema."""
    problem = JsonStrictValidator(JsonV1Dot6(Bom()).schema_version).validate_str(text)
    if problem is not None:
        raise ReleaseError(f"the bill of materials of {name} is not valid: {problem}")


def _component_of(part: Part) -> Component:
    name, known = part.name, _LICENCES.get(part.licence)
    licence: License = LicenseExpression(known) if known else DisjunctiveLicense(name=part.licence)
    return Component(
        name=name,
        version=part.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}@{part.version}",
        licenses=[licence],
        purl=_purl(part),
    )


def _purl(part: Part) -> PackageURL:
    """Tell where a part was taken from; the manifest says it in brackets where that is not PyPI under its own name."""
    if "Debian" in part.name:
        return PackageURL("deb", "debian", "libpython3.11", part.version)
    return PackageURL("pypi", name="ziglang" if "ziglang" in part.name else part.name, version=part.version)


def _file(content: Content) -> Component:
    return Component(
        name=content.name,
        type=ComponentType.FILE,
        bom_ref=f"file:{content.name}",
        hashes=[_sha256(content.sha256)],
    )


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
