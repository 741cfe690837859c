"""How each part of the platform is declared: one package per component, grouped by what it is for."""
