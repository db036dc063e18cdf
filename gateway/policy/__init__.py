"""May they: one `decide()` over the province's Cedar policies.

Default deny, and an error is a denial.
"""
