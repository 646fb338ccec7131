"""The row of a panel that says which packages are missing, and installs them from the network or from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from .packages import Packages


class PackagesRow:
    """Installs at a click what a module needs.

    Args:
        ui: widgets of the panel by name.
        packages: of the module.
    """

    def __init__(self, ui: Any, packages: Packages) -> None:
        self._ui = ui
        self._packages = packages
        ui.installPackagesButton.clicked.connect(self._on_install_clicked)
        ui.installFromFolderButton.clicked.connect(self._on_folder_clicked)
        self.update()

    def ensure(self) -> None:
        """As `Packages.ensure`, and show what has become of it."""
        try:
            self._packages.ensure()
        finally:
            self.update()

    def update(self) -> None:
        """Look again at what is missing."""
        ui, missing = self._ui, self._packages.missing
        text = _("missing: {packages}").format(packages=", ".join(missing)) if missing else _("all installed")
        ui.packagesStateLabel.setText(text)
        for button, purpose in (
            (ui.installPackagesButton, _("Install what is missing from the internet.")),
            (ui.installFromFolderButton, _("Install what is missing from a folder of wheels, without internet.")),
        ):
            button.setEnabled(bool(missing))
            button.setToolTip(purpose if missing else _("All packages are installed."))

    def _on_install_clicked(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The packages were not installed.")):
            try:
                self._packages.install()
            finally:
                self.update()

    def _on_folder_clicked(self) -> None:
        folder = qt.QFileDialog.getExistingDirectory(
            self._ui.installFromFolderButton, _("Choose a folder of wheels (*.whl)")
        )
        if not folder:
            return
        with slicer.util.tryWithErrorDisplay(_("The packages were not installed.")):
            try:
                self._packages.install_from(Path(folder))
            finally:
                self.update()
