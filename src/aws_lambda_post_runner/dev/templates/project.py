"""A deployment as files in a folder: the template, the function's code, and the command that it names."""

import shutil
from pathlib import Path

from .render import Deployment, Kind, form_of, render
from .runtimes import FOLDER

COMMAND_SAMPLE = """\
#!/bin/sh
echo "post work for $AWS_LAMBDA_POST_RUNNER_REQUEST_ID"
"""


def write_project(kind: Kind, deployment: Deployment, folder: Path) -> list[Path]:
    """Write a deployment into a folder, and return its files. Raises FileExistsError before anything is written.

    A file that the command names is taken from the current folder; where it is not there, a sample is written.
    """
    template = folder / form_of(kind, deployment.runtime).file
    text = render(
        kind, deployment.architecture, deployment.timeout_s, deployment.settings, deployment.runtime
    )
    files = {template: text}
    if kind is Kind.DOCKERFILE or not deployment.fits_template:
        files |= {folder / FOLDER / name: text for name, text in deployment.runtime.files.items()}
    if deployment.command_file is not None:
        files[folder / FOLDER / deployment.command_file] = COMMAND_SAMPLE
    for file in files:
        if file.exists():
            raise FileExistsError(f"{file} is there already, and is left as it is")
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
        if content.startswith("#!"):
            file.chmod(0o755)
    if deployment.command_file is not None and Path(deployment.command_file).is_file():
        shutil.copy(deployment.command_file, folder / FOLDER / deployment.command_file)
    return list(files)
