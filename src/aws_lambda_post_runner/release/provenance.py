"""Tells which files were made of which commit, and how to make them again: an in-toto statement of SLSA's provenance.

It is not signed. Beside it the workflow has GitHub sign one of its own, which names the machine that built; this one
is for whoever builds again and compares, and it is the same for the same files.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from aws_lambda_post_runner.dev.artefact import PRODUCT

from .artefacts import Release

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
COMMANDS = ("nox -s layer", "nox -s npm", "nox -s release")
"""What makes all of the files, in a clone of the commit."""


def statement_of(release: Release, repository: str) -> str:
    """Return the statement as JSON. `repository`: where the commit can be had, a URL."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [_subject(path) for path in release.built],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": f"{repository}/blob/v{release.version}/.github/RELEASING.md",
                "externalParameters": {"commands": list(COMMANDS), "tag": f"v{release.version}"},
                "resolvedDependencies": [
                    {
                        "uri": f"git+{repository}@refs/tags/v{release.version}",
                        "digest": {"gitCommit": release.commit},
                    },
                    *_parts(release),
                ],
            },
            "runDetails": {"builder": {"id": f"{repository}/blob/v{release.version}/noxfile.py"}},
        },
    }
    return json.dumps(statement, indent=2) + "\n"


def _subject(path: Path) -> Mapping[str, Any]:
    return {"name": path.name, "digest": {"sha256": sha256(path.read_bytes()).hexdigest()}}


def _parts(release: Release) -> list[Mapping[str, Any]]:
    """Return what the layers have of other people's, each once."""
    parts = {part for layer in release.layers for part in layer.content.parts}
    return [
        {"name": part.name, "annotations": {"version": part.version, "licence": part.licence, "in": PRODUCT}}
        for part in sorted(parts, key=lambda part: (part.name, part.version))
    ]
