"""The files of a release: which there are, that they belong together, and their checksums. It publishes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from aws_lambda_post_runner import __version__
from aws_lambda_post_runner.dev.artefact import PRODUCT, Artefact, NotOursError, read_artefact

CHECKSUMS = "SHA256SUMS"
BOM_SUFFIX = ".cdx.json"
PROVENANCE = f"{PRODUCT}-{__version__}.intoto.json"
PROCESSORS = ("x86_64", "arm64")


class ReleaseError(Exception):
    """What was built cannot be released; the text says why."""


@dataclass(frozen=True)
class Layer:
    """A layer's zip that was read and found to be whole."""

    path: Path
    content: Artefact

    @property
    def name(self) -> str:
        """What Lambda is to call the layer, in every region."""
        return f"{PRODUCT}-{self.content.processor}"


@dataclass(frozen=True)
class Release:
    """All that is given away under one version, built from one commit."""

    folder: Path
    version: str
    commit: str
    layers: tuple[Layer, ...]
    executables: tuple[Path, ...]
    python: tuple[Path, ...]
    """The wheel and the source distribution."""
    npm: tuple[Path, ...]
    """The package for Node, if it was built."""

    @property
    def built(self) -> list[Path]:
        """Every file that was built, by its name."""
        layers = (layer.path for layer in self.layers)
        return sorted((*layers, *self.executables, *self.python, *self.npm))

    @property
    def is_final(self) -> bool:
        """Tell a version of numbers alone from one that is for trying out (1.0rc1, 1.0.dev3)."""
        return self.version.replace(".", "").isdecimal()


def read_release(folder: Path) -> Release:
    """Read what was built into a folder. Raises ReleaseError if something is missing, damaged or of another build."""
    layers = tuple(Layer(path, _read(path)) for path in _each(folder, ".zip"))
    executables = tuple(_each(folder, ""))
    contents = [*(layer.content for layer in layers), *map(_read, executables)]
    commits = {content.commit for content in contents}
    versions = {content.version for content in contents}
    if versions != {__version__}:
        raise ReleaseError(f"{folder} has the versions {_listed(versions)}, and this is {__version__}")
    if len(commits) != 1:
        raise ReleaseError(f"{folder} has files of the commits {_listed(commits)}; build all of them anew")
    return Release(
        folder=folder,
        version=__version__,
        commit=commits.pop(),
        layers=layers,
        executables=executables,
        python=(
            _only(folder, f"aws_lambda_post_runner-{__version__}-*.whl"),
            _only(folder, f"aws_lambda_post_runner-{__version__}.tar.gz"),
        ),
        npm=tuple(folder.glob(f"post-runner-{__version__}.tgz")),
    )


def check_tag(tag: str) -> None:
    """Raise ReleaseError if a tag of git is not this version's."""
    if tag != f"v{__version__}":
        raise ReleaseError(
            f"the tag is {tag!r}, but the version is {__version__}: it has to be v{__version__}"
        )


def check_commit(release: Release, commit: str) -> None:
    """Raise ReleaseError if the files were not built from that commit, or from one with changes."""
    if release.commit.endswith("-dirty"):
        raise ReleaseError(
            f"the files were built from {release.commit}: commit what is changed, and build again"
        )
    if not commit.startswith(release.commit):
        raise ReleaseError(f"the files were built from {release.commit}, not from {commit}")


def checksums(paths: Iterable[Path]) -> str:
    """Return the lines that `sha256sum --check` reads, by the files' names."""
    return "".join(
        f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(paths, key=lambda path: path.name)
    )


def _each(folder: Path, suffix: str) -> Iterable[Path]:
    return [_only(folder, f"{PRODUCT}-{__version__}-{processor}{suffix}") for processor in PROCESSORS]


def _only(folder: Path, pattern: str) -> Path:
    match sorted(folder.glob(pattern)):
        case [path]:
            return path
        case []:
            made = "`nox -s layer`" if pattern.startswith(PRODUCT) else "`python -m build`"
            raise ReleaseError(f"{folder} has no {pattern}; {made} makes it")
        case several:
            raise ReleaseError(f"{folder} has {len(several)} files {pattern}; one is needed")


def _read(path: Path) -> Artefact:
    try:
        content = read_artefact(path)
    except NotOursError as problem:
        raise ReleaseError(f"{path}: {problem}") from None
    if content.problems:
        raise ReleaseError(f"{path}: {'; '.join(content.problems)}")
    return content


def _listed(names: Iterable[str]) -> str:
    return " and ".join(sorted(name or "(none)" for name in names)) or "(none)"
