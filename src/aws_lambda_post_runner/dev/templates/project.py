"""A deployment as files in a folder: the template, the function's code, and the command that it names."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from .render import Deployment, Kind, form_of
from .runtimes import FOLDER

COMMAND_SAMPLE = """\
#!/bin/sh
echo "post work for $AWS_LAMBDA_POST_RUNNER_REQUEST_ID"
"""


def code_of(kind: Kind, deployment: Deployment) -> Mapping[str, str] | None:
    """Return the files that the template takes from FOLDER, by name, as samples; None if it takes none.

    There are none, too, where the function has to be built: what it is then made of is not known here.
    """
    inline = form_of(kind, deployment.runtime).inline_code is not None and deployment.fits_template
    if inline or kind is Kind.RUNTIME:
        return None
    command = {} if deployment.command_file is None else {deployment.command_file: COMMAND_SAMPLE}
    return {**deployment.runtime.files, **command}


def write_project(kind: Kind, deployment: Deployment, text: str, folder: Path) -> list[Path]:
    """Write a deployment, whose template's text is `text`, into a folder, and return its files.

    Raises FileExistsError before anything is written. A file that the command names is taken from the current
    folder; where it is not there, a sample is written.
    """
    template = folder / form_of(kind, deployment.runtime).file
    code = code_of(kind, deployment) or {}
    files = {template: text, **{folder / FOLDER / name: sample for name, sample in code.items()}}
    for file in files:
        if file.exists():
            raise FileExistsError(f"{file} is there already, and is left as it is")
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
        if content.startswith("#!"):
            file.chmod(0o755)
    command = deployment.command_file
    if command is not None and command in code and Path(command).is_file():
        shutil.copy(command, folder / FOLDER / command)
    return list(files)
