#!/usr/bin/env bash
# A step that fails and is said to be critical: StepFlow stops the script there.
echo "STEP_START:Check the disk"
echo "/dev/sda1 has room"
echo "STEP_COMPLETE:Check the disk"
echo "STEP_START:Migrate the database [stop_on_error=true]"
echo "applying 0001_users.sql"
echo 'ERROR: relation "users" does not exist' >&2
echo 'STEP_ERROR:relation "users" does not exist'
sleep 30
echo "this is never printed"
